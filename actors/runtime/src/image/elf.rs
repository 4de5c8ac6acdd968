//! What a dynamically linked program needs beside itself: its interpreter and shared libraries, found as the dynamic
//! loader finds them (`DT_RPATH`, `DT_RUNPATH` with `$ORIGIN`, the folders of ld.so.conf, the built-in ones).

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::{Path, PathBuf};

use goblin::elf::Elf;

use crate::fail::{OrFail, Outcome, invalid};

/// Libraries one program may lead to.
const LIBRARIES_LIMIT: usize = 1_024;
/// Files that ld.so.conf may include.
const CONF_FILES_LIMIT: usize = 256;

/// What a program leads to.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Closure {
    /// Interpreter and libraries: path in the image = path on this machine.
    pub(crate) files: BTreeSet<PathBuf>,
    /// Folders of libraries that the loader does not look into by itself.
    pub(crate) extra_folders: BTreeSet<PathBuf>,
}

/// Reads a program. One that is no ELF file, or is linked statically, needs nothing; a script needs its interpreter.
///
/// # Errors
/// `Invalid` when a library is not found; its name and who wants it are in the text.
pub(crate) fn closure(program: &Path) -> Outcome<Closure> {
    let mut found = Closure::default();
    let mut seen: BTreeMap<String, PathBuf> = BTreeMap::new();
    let mut waiting = vec![program.to_owned()];
    let configured = configured_folders();
    while let Some(path) = waiting.pop() {
        let bytes = fs::read(&path).or_fail(|| format!("cannot read {}", path.display()))?;
        if let Some(interpreter) = script_interpreter(&bytes) {
            found.files.insert(interpreter.clone());
            waiting.push(interpreter);
            continue;
        }
        if !bytes.starts_with(b"\x7fELF") {
            continue;
        }
        let elf = Elf::parse(&bytes)
            .map_err(|error| invalid(format!("{} is a damaged ELF file: {error}", path.display())))?;
        if let Some(interpreter) = elf.interpreter {
            found.files.insert(PathBuf::from(interpreter));
        }
        let own = run_paths(&elf, &path);
        for name in &elf.libraries {
            if seen.contains_key(*name) {
                continue;
            }
            let (library, by_itself) = find(name, &own, &configured, &elf).ok_or_else(|| {
                invalid(format!(
                    "{} needs the shared library {name}, which is not on this machine",
                    path.display()
                ))
            })?;
            if seen.len() >= LIBRARIES_LIMIT {
                return Err(invalid(format!(
                    "{} needs more than {LIBRARIES_LIMIT} libraries",
                    program.display()
                )));
            }
            if !by_itself && let Some(folder) = library.parent() {
                found.extra_folders.insert(folder.to_owned());
            }
            found.files.insert(library.clone());
            seen.insert((*name).to_owned(), library.clone());
            waiting.push(library);
        }
    }
    Ok(found)
}

/// Finds a library of the same class and machine, and whether the loader in the image finds it there without help.
fn find(name: &str, own: &[PathBuf], configured: &[PathBuf], of: &Elf<'_>) -> Option<(PathBuf, bool)> {
    let fits = |path: &Path| {
        let Ok(bytes) = fs::read(path) else { return false };
        let Ok(header) = Elf::parse_header(&bytes) else { return false };
        header.e_machine == of.header.e_machine && header.e_ident[4] == of.header.e_ident[4]
    };
    if name.contains('/') {
        let path = PathBuf::from(name);
        return fits(&path).then_some((path, true));
    }
    let places = own.iter().map(|folder| (folder.clone(), true));
    let built_in: Vec<PathBuf> = built_in_folders(of);
    let places = places.chain(built_in.into_iter().map(|folder| (folder, true)));
    let mut places = places.chain(configured.iter().map(|folder| (folder.clone(), false)));
    places.find_map(|(folder, by_itself)| {
        let path = folder.join(name);
        fits(&path).then_some((path, by_itself))
    })
}

fn run_paths(elf: &Elf<'_>, path: &Path) -> Vec<PathBuf> {
    let origin =
        path.canonicalize().ok().and_then(|path| path.parent().map(Path::to_owned)).unwrap_or_default();
    let texts = if elf.runpaths.is_empty() { &elf.rpaths } else { &elf.runpaths };
    let parts = texts.iter().flat_map(|text| text.split(':')).filter(|part| !part.is_empty());
    let origin = origin.display().to_string();
    parts.map(|part| PathBuf::from(part.replace("${ORIGIN}", &origin).replace("$ORIGIN", &origin))).collect()
}

fn built_in_folders(of: &Elf<'_>) -> Vec<PathBuf> {
    let triple = match (of.header.e_machine, of.is_64) {
        (goblin::elf::header::EM_X86_64, true) => "x86_64-linux-gnu",
        (goblin::elf::header::EM_AARCH64, true) => "aarch64-linux-gnu",
        (goblin::elf::header::EM_386, false) => "i386-linux-gnu",
        _ => "",
    };
    let mut folders = Vec::new();
    if !triple.is_empty() {
        folders.extend([format!("/lib/{triple}"), format!("/usr/lib/{triple}")]);
    }
    if of.is_64 {
        folders.extend(["/lib64".to_owned(), "/usr/lib64".to_owned()]);
    }
    folders.extend(["/lib".to_owned(), "/usr/lib".to_owned()]);
    folders.into_iter().map(PathBuf::from).collect()
}

fn configured_folders() -> Vec<PathBuf> {
    let mut folders = Vec::new();
    let mut files = vec![PathBuf::from("/etc/ld.so.conf")];
    let mut read = 0;
    while let Some(file) = files.pop() {
        read += 1;
        if read > CONF_FILES_LIMIT {
            break;
        }
        let Ok(text) = fs::read_to_string(&file) else { continue };
        for line in text.lines() {
            let line = line.split('#').next().unwrap_or_default().trim();
            match line.strip_prefix("include ") {
                // The only pattern in use is a folder's `*.conf`.
                Some(pattern) => files.extend(included(pattern.trim())),
                None if line.starts_with('/') => folders.push(PathBuf::from(line)),
                None => {}
            }
        }
    }
    folders
}

fn included(pattern: &str) -> Vec<PathBuf> {
    let path = Path::new(pattern);
    let (Some(folder), Some(name)) = (path.parent(), path.file_name()) else { return Vec::new() };
    let name = name.to_string_lossy();
    let Some((front, back)) = name.split_once('*') else { return vec![path.to_owned()] };
    let entries = fs::read_dir(folder).into_iter().flatten().flatten();
    let mut files: Vec<PathBuf> = entries
        .filter(|entry| {
            let name = entry.file_name().to_string_lossy().into_owned();
            name.starts_with(front) && name.ends_with(back)
        })
        .map(|entry| entry.path())
        .collect();
    files.sort();
    files
}

fn script_interpreter(bytes: &[u8]) -> Option<PathBuf> {
    let line = bytes.strip_prefix(b"#!")?.split(|byte| *byte == b'\n').next()?;
    let program = String::from_utf8_lossy(line).split_whitespace().next()?.to_owned();
    program.starts_with('/').then(|| PathBuf::from(program))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_shell_leads_to_its_loader_and_libc() {
        let found = closure(Path::new("/bin/sh")).unwrap();
        let names: Vec<String> =
            found.files.iter().map(|path| path.file_name().unwrap().to_string_lossy().into_owned()).collect();
        if names.is_empty() {
            println!("SKIPPED: /bin/sh is linked statically here");
            return;
        }
        assert!(names.iter().any(|name| name.starts_with("ld-")), "{names:?}");
        assert!(names.iter().any(|name| name.starts_with("libc.") || name.contains("musl")), "{names:?}");
        assert!(found.files.iter().all(|path| path.is_absolute()));
    }

    #[test]
    fn a_script_leads_to_its_interpreter_and_text_to_nothing() {
        let folder = tempfile::tempdir().unwrap();
        let script = folder.path().join("s");
        fs::write(&script, "#!/bin/sh -e\nexit 0\n").unwrap();
        assert!(closure(&script).unwrap().files.contains(Path::new("/bin/sh")));
        fs::write(&script, "plain").unwrap();
        assert_eq!(closure(&script).unwrap(), Closure::default());
        fs::write(&script, b"\x7fELF damaged").unwrap();
        assert!(closure(&script).unwrap_err().message.contains("damaged ELF"));
    }
}
