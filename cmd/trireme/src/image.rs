//! `trireme image`: the images of this machine, beside a running node or without one.

use std::collections::BTreeSet;
use std::fs::File;
use std::io::Read;
use std::path::PathBuf;
use std::sync::Arc;

use anyhow::{Context, bail};
use clap::{Args, Subcommand};
use comfy_table::Table;
use comfy_table::presets::NOTHING;
use trireme_runtime::Registries;
use trireme_runtime::image::{BuildImage, ImageStore, StoredImage, build, import};

use crate::cli::{DataDirArg, Output};
use crate::connect::block_on;
use crate::progress::{print, say};

#[derive(Debug, Subcommand)]
pub(crate) enum ImageCommand {
    /// Import the images of an archive (docker save, OCI layout; plain, gzip or zstd).
    Import {
        #[command(flatten)]
        data: DataDirArg,
        /// The archive; `-` reads standard input.
        file: PathBuf,
        /// Name for the image of an archive that names none.
        #[arg(long, value_name = "NAME")]
        tag: Option<String>,
    },
    /// Fetch an image from its registry.
    Pull {
        #[command(flatten)]
        remote: RemoteArgs,
        /// Such as `busybox` or `registry:5000/team/app:1`.
        image: String,
    },
    /// Push an image to its registry.
    Push {
        #[command(flatten)]
        remote: RemoteArgs,
        /// Its name, the registry in front.
        image: String,
    },
    /// List the images of this machine.
    Ls {
        #[command(flatten)]
        data: DataDirArg,
        #[arg(long, short, value_enum, default_value_t = Output::Table)]
        output: Output,
    },
    /// Remove images by name or id.
    Rm {
        #[command(flatten)]
        data: DataDirArg,
        #[arg(required = true)]
        images: Vec<String>,
    },
    /// Pack programs and files of this machine into an image, shared libraries included.
    Build(BuildArgs),
}

#[derive(Args, Clone, Debug)]
pub(crate) struct RemoteArgs {
    #[command(flatten)]
    data: DataDirArg,

    /// Mirrors and credentials, as k3s' registries.yaml.
    #[arg(long, value_name = "FILE")]
    registries: Option<PathBuf>,
}

#[derive(Args, Clone, Debug)]
pub(crate) struct BuildArgs {
    #[command(flatten)]
    data: DataDirArg,

    /// Name of the image; can be given several times.
    #[arg(long, required = true, value_name = "NAME")]
    tag: Vec<String>,

    /// A file or folder of this machine, and its path in the image when it is another one.
    #[arg(long, required = true, value_name = "HOSTPATH[:PATH]")]
    add: Vec<String>,

    /// Program and first arguments; the first added program when left out.
    #[arg(long, value_delimiter = ',', value_name = "PROGRAM,ARG")]
    entrypoint: Vec<String>,

    /// Arguments that a pod can replace.
    #[arg(long, value_delimiter = ',', allow_hyphen_values = true, value_name = "ARG,ARG")]
    cmd: Vec<String>,

    /// An environment variable; can be given several times.
    #[arg(long, value_name = "NAME=VALUE")]
    env: Vec<String>,

    /// Folder the program starts in.
    #[arg(long, default_value = "", value_name = "PATH")]
    workdir: String,

    /// Who runs it.
    #[arg(long, default_value = "", value_name = "USER[:GROUP]")]
    user: String,
}

/// Runs one of the subcommands.
pub(crate) fn run(command: &ImageCommand) -> anyhow::Result<()> {
    match command {
        ImageCommand::Import { data, file, tag } => {
            let archive: Box<dyn Read> = if file.as_os_str() == "-" {
                Box::new(std::io::stdin().lock())
            } else {
                Box::new(File::open(file).with_context(|| format!("cannot open {}", file.display()))?)
            };
            let store = open(data)?;
            let imported = import(&store, archive, tag.as_deref());
            for image in imported.with_context(|| format!("cannot import {}", file.display()))? {
                print(&format!("imported {} {}", image.image.tags.join(" "), image.image.id));
            }
            Ok(())
        }
        ImageCommand::Pull { remote, image } => block_on(async {
            let pulled = registries(remote)?.pull(&open(&remote.data)?, image, &[]).await?;
            print(&format!("pulled {image} {}", pulled.image.id));
            Ok(())
        }),
        ImageCommand::Push { remote, image } => block_on(async {
            registries(remote)?.push(&open(&remote.data)?, image, &[]).await?;
            print(&format!("pushed {image}"));
            Ok(())
        }),
        ImageCommand::Ls { data, output } => list(&open(data)?.images()?, *output),
        ImageCommand::Rm { data, images } => remove(data, images),
        ImageCommand::Build(args) => {
            let store = open(&args.data)?;
            let built = build(&store, &request(args)?)?;
            print(&format!("built {} {}", built.image.tags.join(" "), built.image.id));
            Ok(())
        }
    }
}

fn open(data: &DataDirArg) -> anyhow::Result<Arc<ImageStore>> {
    Ok(Arc::new(ImageStore::open(&data.data_dir.join("images"))?))
}

fn registries(remote: &RemoteArgs) -> anyhow::Result<Registries> {
    let file = remote.registries.as_deref();
    Ok(file.map(Registries::load).transpose()?.unwrap_or_default())
}

fn request(args: &BuildArgs) -> anyhow::Result<BuildImage> {
    let mut add = Vec::new();
    for text in &args.add {
        let (from, to) = match text.split_once(':') {
            Some((from, to)) => (from, Some(to.to_owned())),
            None => (text.as_str(), None),
        };
        if from.is_empty() || to.as_ref().is_some_and(|to| !to.starts_with('/')) {
            bail!("--add {text}: give HOSTPATH or HOSTPATH:PATH with an absolute PATH in the image");
        }
        add.push((PathBuf::from(from), to));
    }
    Ok(BuildImage {
        tags: args.tag.clone(),
        add,
        entrypoint: args.entrypoint.clone(),
        cmd: args.cmd.clone(),
        env: args.env.clone(),
        working_dir: args.workdir.clone(),
        user: args.user.clone(),
    })
}

fn list(images: &[StoredImage], output: Output) -> anyhow::Result<()> {
    match output {
        Output::Json => {
            let all: Vec<_> = images
                .iter()
                .map(|one| {
                    serde_json::json!({
                        "id": one.image.id,
                        "tags": one.image.tags,
                        "digests": one.image.digests,
                        "size": one.image.size,
                    })
                })
                .collect();
            print(&serde_json::to_string_pretty(&all)?);
        }
        Output::Table if images.is_empty() => say("no images; fetch one with `trireme image pull`"),
        Output::Table => {
            let mut table = Table::new();
            table.load_preset(NOTHING).set_header(["IMAGE", "ID", "SIZE"]);
            for one in images {
                let id: String = one.image.id.trim_start_matches("sha256:").chars().take(12).collect();
                let names = if one.image.tags.is_empty() { &one.image.digests } else { &one.image.tags };
                for name in names {
                    table.add_row([name.clone(), id.clone(), megabytes(one.image.size)]);
                }
            }
            print(&table.to_string());
        }
    }
    Ok(())
}

fn megabytes(bytes: u64) -> String {
    format!("{}.{} MB", bytes / 1_000_000, bytes / 100_000 % 10)
}

fn remove(data: &DataDirArg, images: &[String]) -> anyhow::Result<()> {
    let store = open(data)?;
    for image in images {
        store.forget(image, true)?;
        print(&format!("removed {image}"));
    }
    // Containers of a node on the same folder stand on these layers.
    store.collect(&layers_of_containers(data)?)?;
    Ok(())
}

fn layers_of_containers(data: &DataDirArg) -> anyhow::Result<BTreeSet<String>> {
    Ok(trireme_runtime::layers_in_use(&data.data_dir)?)
}
