//! The store end to end: build, import, unpack, name, collect; and archives made to do harm.

use std::collections::BTreeSet;
use std::fs;
use std::io::Write;
use std::os::unix::fs::{FileTypeExt, MetadataExt, PermissionsExt};
use std::path::Path;

use super::store::ImageStore;
use super::{BuildImage, build, import, layer};

fn is_root() -> bool {
    let root = rustix::process::geteuid().is_root();
    if !root {
        println!("SKIPPED: unpacking owners and whiteouts needs root");
    }
    root
}

fn header(kind: tar::EntryType, mode: u32, size: u64) -> tar::Header {
    let mut header = tar::Header::new_gnu();
    header.set_entry_type(kind);
    header.set_mode(mode);
    header.set_size(size);
    header.set_uid(1000);
    header.set_gid(1001);
    header.set_mtime(1_000_000);
    header
}

fn file(tar: &mut tar::Builder<Vec<u8>>, path: &str, mode: u32, text: &str) {
    let mut header = header(tar::EntryType::Regular, mode, text.len() as u64);
    tar.append_data(&mut header, path, text.as_bytes()).unwrap();
}

/// An entry whose name the `tar` crate would refuse to write.
fn raw_name(tar: &mut tar::Builder<Vec<u8>>, kind: tar::EntryType, name: &[u8], link: &[u8]) {
    let mut header = header(kind, 0o644, 0);
    let old = header.as_old_mut();
    old.name[..name.len()].copy_from_slice(name);
    old.linkname[..link.len()].copy_from_slice(link);
    header.set_cksum();
    tar.append(&header, std::io::empty()).unwrap();
}

fn unpack(bytes: &[u8], to: &Path) -> Result<String, trireme_node::RuntimeError> {
    let mut packed = tempfile::tempfile().unwrap();
    packed.write_all(bytes).unwrap();
    std::io::Seek::rewind(&mut packed).unwrap();
    layer::unpack(packed, to)
}

#[test]
fn a_layer_keeps_owners_modes_links_and_whiteouts() {
    if !is_root() {
        return;
    }
    let mut tar = tar::Builder::new(Vec::new());
    tar.append_data(&mut header(tar::EntryType::Directory, 0o1777, 0), "d", std::io::empty()).unwrap();
    tar.append_pax_extensions([("SCHILY.xattr.user.color", b"red".as_slice())]).unwrap();
    file(&mut tar, "d/suid", 0o4755, "program");
    tar.append_pax_extensions([("SCHILY.xattr.trusted.overlay.redirect", b"/etc".as_slice())]).unwrap();
    file(&mut tar, "deep/down/here", 0o640, "text");
    tar.append_link(&mut header(tar::EntryType::Link, 0o644, 0), "hard", "d/suid").unwrap();
    tar.append_link(&mut header(tar::EntryType::Symlink, 0o777, 0), "soft", "/d/suid").unwrap();
    file(&mut tar, "gone/.wh.name", 0o644, "");
    file(&mut tar, "opaque/.wh..wh..opq", 0o644, "");
    file(&mut tar, "twice", 0o600, "first");
    file(&mut tar, "twice", 0o600, "second");
    let bytes = tar.into_inner().unwrap();
    let folder = tempfile::tempdir().unwrap();
    let root = folder.path();
    let plain = unpack(&bytes, root).unwrap();

    let suid = fs::metadata(root.join("d/suid")).unwrap();
    assert_eq!((suid.uid(), suid.gid(), suid.mode() & 0o7777, suid.nlink()), (1000, 1001, 0o4755, 2));
    assert_eq!(suid.mtime(), 1_000_000);
    assert_eq!(fs::metadata(root.join("d")).unwrap().mtime(), 1_000_000);
    assert_eq!(suid.ino(), fs::metadata(root.join("hard")).unwrap().ino());
    let mut value = [0_u8; 16];
    let got = rustix::fs::getxattr(root.join("d/suid"), c"user.color", &mut value).unwrap();
    assert_eq!(&value[..got], b"red");
    assert!(
        rustix::fs::getxattr(root.join("deep/down/here"), c"trusted.overlay.redirect", &mut value).is_err()
    );
    assert_eq!(fs::read_link(root.join("soft")).unwrap(), Path::new("/d/suid"));
    let white = fs::symlink_metadata(root.join("gone/name")).unwrap();
    assert!(white.file_type().is_char_device() && white.rdev() == 0);
    let got = rustix::fs::getxattr(root.join("opaque"), c"trusted.overlay.opaque", &mut value).unwrap();
    assert_eq!(&value[..got], b"y");
    assert_eq!(fs::read_to_string(root.join("twice")).unwrap(), "second");

    // Packed, in two members as well, it is the same layer.
    let mut gzip = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
    gzip.write_all(&bytes[..512]).unwrap();
    let mut packed = gzip.finish().unwrap();
    let mut gzip = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
    gzip.write_all(&bytes[512..]).unwrap();
    packed.extend(gzip.finish().unwrap());
    let again = tempfile::tempdir().unwrap();
    assert_eq!(unpack(&packed, again.path()).unwrap(), plain);
}

#[test]
fn a_layer_packed_by_zstd_unpacks() {
    if !is_root() {
        return;
    }
    let mut tar = tar::Builder::new(Vec::new());
    file(&mut tar, "a", 0o644, &"text ".repeat(10_000));
    let bytes = tar.into_inner().unwrap();
    let pack =
        |bytes: &[u8]| ruzstd::encoding::compress_to_vec(bytes, ruzstd::encoding::CompressionLevel::Fastest);
    let mut packed = pack(&bytes[..1024]);
    packed.extend(pack(&bytes[1024..]));
    let (one, two) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    assert_eq!(unpack(&packed, one.path()).unwrap(), unpack(&bytes, two.path()).unwrap());
    assert_eq!(fs::metadata(one.path().join("a")).unwrap().len(), 50_000);
}

#[test]
fn no_entry_leads_out_of_the_layer() {
    if !is_root() {
        return;
    }
    let outside = tempfile::tempdir().unwrap();
    let victim = outside.path().join("victim");
    fs::write(&victim, "safe").unwrap();
    let layer = outside.path().join("layer");

    for (kind, name, link) in [
        (tar::EntryType::Regular, b"../victim".as_slice(), b"".as_slice()),
        (tar::EntryType::Regular, b"a/../../victim", b""),
        (tar::EntryType::Link, b"stolen", b"../victim"),
        (tar::EntryType::Link, b"stolen", b"/../victim"),
        (tar::EntryType::Symlink, b"../link", b"x"),
    ] {
        fs::create_dir(&layer).unwrap();
        let mut tar = tar::Builder::new(Vec::new());
        raw_name(&mut tar, kind, name, link);
        let error = unpack(&tar.into_inner().unwrap(), &layer).unwrap_err();
        assert!(error.message.contains("leads out of it"), "{error}");
        fs::remove_dir_all(&layer).unwrap();
    }

    // Symbolic links are followed below the layer's root only.
    fs::create_dir(&layer).unwrap();
    let mut tar = tar::Builder::new(Vec::new());
    raw_name(&mut tar, tar::EntryType::Symlink, b"up", outside.path().as_os_str().as_encoded_bytes());
    raw_name(&mut tar, tar::EntryType::Symlink, b"dots", b"../../../../..");
    raw_name(&mut tar, tar::EntryType::Regular, b"up/victim", b"");
    raw_name(&mut tar, tar::EntryType::Regular, b"dots/planted", b"");
    let outcome = unpack(&tar.into_inner().unwrap(), &layer);
    assert_eq!(fs::read_to_string(&victim).unwrap(), "safe", "{outcome:?}");
    assert!(!Path::new("/planted").exists());
}

#[test]
fn a_damaged_archive_leaves_nothing() {
    let folder = tempfile::tempdir().unwrap();
    let store = ImageStore::open(folder.path()).unwrap();
    let error = import(&store, b"not an archive at all".as_slice(), None).unwrap_err();
    assert!(!error.message.is_empty());
    let mut tar = tar::Builder::new(Vec::new());
    file(&mut tar, &format!("blobs/sha256/{}", "0".repeat(64)), 0o644, "forged");
    let error = import(&store, tar.into_inner().unwrap().as_slice(), None).unwrap_err();
    assert!(error.message.contains("damaged or forged"), "{error}");
    let left = fs::read_dir(folder.path().join("ingest")).unwrap().count();
    assert_eq!(left, 0);
    assert!(store.images().unwrap().is_empty());
}

fn shell_image(store: &ImageStore, tag: &str) -> super::StoredImage {
    let request = BuildImage {
        tags: vec![tag.to_owned()],
        add: vec![("/bin/sh".into(), None), ("/bin/cat".into(), Some("/tools/".into()))],
        cmd: vec!["-c".into(), "true".into()],
        ..BuildImage::default()
    };
    build(store, &request).unwrap()
}

#[test]
fn a_built_image_has_the_program_and_what_it_needs() {
    if !is_root() {
        return;
    }
    let folder = tempfile::tempdir().unwrap();
    let store = ImageStore::open(folder.path()).unwrap();
    let image = shell_image(&store, "tools:1");
    assert_eq!(image.image.tags, ["docker.io/library/tools:1"]);
    assert_eq!(image.image.digests.len(), 1);
    assert_eq!(
        image.config.config.as_ref().unwrap().entrypoint.as_deref(),
        Some(&["/bin/sh".to_owned()][..])
    );
    let layer = store.layers_dir().join(store.unpack(&image).unwrap().remove(0)).join("fs");
    assert!(fs::metadata(layer.join("bin/sh")).unwrap().permissions().mode() & 0o111 != 0);
    assert!(layer.join("tools/cat").exists() && layer.join("etc/passwd").exists());
    assert_eq!(fs::metadata(layer.join("tmp")).unwrap().mode() & 0o7777, 0o1777);
    // The same input is the same image.
    assert_eq!(shell_image(&store, "tools:2").image.id, image.image.id);
    for reference in ["tools:1", "docker.io/library/tools:2", &image.image.id, &image.image.digests[0]] {
        assert_eq!(store.find(reference).unwrap().unwrap().image.id, image.image.id, "{reference}");
    }
    assert!(store.find("tools:3").unwrap().is_none());
}

#[test]
fn removing_collects_what_nothing_needs() {
    if !is_root() {
        return;
    }
    let folder = tempfile::tempdir().unwrap();
    let store = ImageStore::open(folder.path()).unwrap();
    let image = shell_image(&store, "tools:1");
    shell_image(&store, "tools:2");
    let layer = ImageStore::layer_name(&image.config.rootfs.diff_ids[0]);
    store.forget("tools:1", true).unwrap();
    assert_eq!(store.collect(&BTreeSet::new()).unwrap(), 0, "another name still leads there");
    assert!(store.find("tools:1").unwrap().is_none());
    store.forget("tools:2", false).unwrap();
    let guard = store.bring().unwrap();
    assert_eq!(store.collect(&BTreeSet::new()).unwrap(), 0, "someone brings content");
    drop(guard);
    store.collect(&BTreeSet::from([layer.clone()])).unwrap();
    assert!(store.layers_dir().join(&layer).exists(), "a container uses it");
    assert!(store.collect(&BTreeSet::new()).unwrap() > 0);
    assert!(!store.layers_dir().join(&layer).exists());
    assert_eq!(fs::read_dir(folder.path().join("blobs/sha256")).unwrap().count(), 0);
    assert_eq!(store.forget("tools:2", false).unwrap_err().kind, trireme_node::RuntimeErrorKind::NotFound);
}

/// Writes an image of a store as an archive of one kind.
fn export(store: &ImageStore, image: &super::StoredImage, docker: bool) -> Vec<u8> {
    let mut tar = tar::Builder::new(Vec::new());
    let mut blob = |path: String, digest: &str| {
        let bytes = fs::read(store.blob_path(digest).unwrap()).unwrap();
        let mut header = header(tar::EntryType::Regular, 0o644, bytes.len() as u64);
        tar.append_data(&mut header, path, bytes.as_slice()).unwrap();
    };
    if docker {
        blob("abc/layer.tar".into(), &image.layers[0].digest);
        blob("config.json".into(), &image.image.id);
        tar.append_link(&mut header(tar::EntryType::Symlink, 0o777, 0), "def/layer.tar", "../abc/layer.tar")
            .unwrap();
        let list = r#"[{"Config":"config.json","RepoTags":["registry.test/imported:1"],"Layers":["def/layer.tar"]}]"#;
        file(&mut tar, "manifest.json", 0o644, list);
    } else {
        for digest in [&image.layers[0].digest, &image.image.id, &image.manifest.digest] {
            blob(format!("blobs/{}", digest.replace(':', "/")), digest);
        }
        let index = serde_json::json!({"schemaVersion": 2, "manifests": [{
            "mediaType": image.manifest.media_type, "digest": image.manifest.digest, "size": image.manifest.size,
            "annotations": {"io.containerd.image.name": "registry.test/imported:1", "org.opencontainers.image.ref.name": "1"},
        }]});
        file(&mut tar, "index.json", 0o644, &index.to_string());
    }
    tar.into_inner().unwrap()
}

#[test]
fn archives_of_both_kinds_are_imported() {
    if !is_root() {
        return;
    }
    let folder = tempfile::tempdir().unwrap();
    let store = ImageStore::open(&folder.path().join("a")).unwrap();
    let image = shell_image(&store, "tools:1");
    for docker in [true, false] {
        let archive = export(&store, &image, docker);
        let other = ImageStore::open(&folder.path().join(format!("b{docker}"))).unwrap();
        let imported = import(&other, archive.as_slice(), None).unwrap();
        assert_eq!(imported.len(), 1);
        assert_eq!(imported[0].image.id, image.image.id);
        assert_eq!(imported[0].image.tags, ["registry.test/imported:1"]);
        let name = ImageStore::layer_name(&image.config.rootfs.diff_ids[0]);
        assert!(other.layers_dir().join(name).join("fs/bin/sh").exists());
    }
}
