//! Databases that must not be served: each is refused with what happened and what to do.

use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};

use crate::kit::Cluster;
use crate::writer::{all, put};

/// One server with some content, stopped.
async fn stopped() -> Cluster {
    let mut cluster = Cluster::start(1).await;
    let client = cluster.client("s1").await;
    for index in 0..50 {
        put(&client, &format!("/a/{index}"), &"x".repeat(1_000)).await;
    }
    cluster.stop("s1").await;
    cluster
}

fn store(cluster: &Cluster) -> PathBuf {
    cluster.data("s1").join("store")
}

/// The server does not come up, and says all of this.
async fn refused(cluster: &mut Cluster, words: &[&str]) {
    let before = cluster.said("s1").len();
    cluster.spawn("s1", None);
    assert!(!cluster.until_ended("s1").await, "it calls that a success");
    let said = cluster.said("s1").split_off(before);
    for word in words {
        assert!(said.contains(word), "{word:?} is not in:\n{said}");
    }
}

/// The server comes up again with everything, once what was wrong is undone.
async fn well_again(cluster: &mut Cluster) {
    cluster.restart("s1").await;
    assert_eq!(all(&cluster.client("s1").await, "/a/").await.len(), 50);
}

fn segments(log: &Path) -> Vec<PathBuf> {
    let files = std::fs::read_dir(log).unwrap().map(|file| file.unwrap().path());
    let mut segments: Vec<PathBuf> =
        files.filter(|path| path.extension().is_some_and(|e| e == "seg")).collect();
    segments.sort();
    segments
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_corrupted_record_is_refused() {
    let mut cluster = stopped().await;
    let segment = segments(&store(&cluster).join("log")).remove(0);
    let file = std::fs::File::options().read(true).write(true).open(&segment).unwrap();
    // In the middle of what was synced.
    let mut byte = [0];
    file.read_exact_at(&mut byte, 20_000).unwrap();
    file.write_all_at(&[byte[0] ^ 0x10], 20_000).unwrap();
    let name = segment.file_name().unwrap().to_str().unwrap().to_owned();
    refused(&mut cluster, &[&name, "was synced", "Remove it from the cluster"]).await;
    file.write_all_at(&byte, 20_000).unwrap();
    well_again(&mut cluster).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_missing_segment_is_refused() {
    let mut cluster = stopped().await;
    let segment = segments(&store(&cluster).join("log")).remove(0);
    let aside = cluster.folder().join("aside");
    std::fs::rename(&segment, &aside).unwrap();
    let name = segment.file_name().unwrap().to_str().unwrap().to_owned();
    refused(&mut cluster, &[&name, "remove"]).await;
    std::fs::rename(&aside, &segment).unwrap();
    well_again(&mut cluster).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn databases_of_another_cluster_and_of_a_future_version_are_refused() {
    let mut cluster = stopped().await;
    let identity = store(&cluster).join("identity");
    let good = std::fs::read_to_string(&identity).unwrap();

    std::fs::write(&identity, good.replacen("trireme-raft 1", "trireme-raft 9", 1)).unwrap();
    refused(&mut cluster, &["has format 9, this version reads 1", "start the version that wrote it"]).await;
    std::fs::write(&identity, good.replacen("member ", "member 9", 1)).unwrap();
    refused(&mut cluster, &["checksum does not match", "restore the file 'identity'"]).await;
    std::fs::write(&identity, &good).unwrap();
    well_again(&mut cluster).await;

    // The folder of another cluster, member file and all.
    cluster.stop("s1").await;
    let other = tempfile::tempdir().unwrap();
    for name in ["store", "store.json"] {
        std::fs::rename(cluster.data("s1").join(name), other.path().join(name)).unwrap();
    }
    drop(cluster);
    let mut cluster = stopped().await;
    for name in ["store", "store.json"] {
        let (own, kept) = (cluster.data("s1").join(name), cluster.folder().join(name));
        std::fs::rename(&own, &kept).unwrap();
        std::fs::rename(other.path().join(name), &own).unwrap();
    }
    refused(&mut cluster, &["belongs to cluster", "check the data directory"]).await;
}
