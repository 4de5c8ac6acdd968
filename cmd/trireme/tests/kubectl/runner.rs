//! [`Kubectl`]: one program, run with a home of its own.

use std::io::Write;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

/// What a run came to.
pub(crate) struct Outcome {
    pub(crate) code: i32,
    pub(crate) out: String,
    pub(crate) err: String,
}

/// One kubectl.
pub(crate) struct Kubectl {
    program: PathBuf,
    kubeconfig: PathBuf,
    home: PathBuf,
    /// The session's name: its namespace, and in front of the names of objects that live in none.
    pub(crate) name: String,
    /// Minor version.
    pub(crate) minor: u32,
}

impl Kubectl {
    pub(crate) fn new(program: &Path, kubeconfig: &Path, home: &Path, name: &str) -> Option<Self> {
        std::fs::create_dir_all(home).ok()?;
        let mut kubectl = Kubectl {
            program: program.to_owned(),
            kubeconfig: kubeconfig.to_owned(),
            home: home.to_owned(),
            name: name.to_owned(),
            minor: 0,
        };
        let arguments = ["version", "--client", "-o", "json"].map(str::to_owned);
        let version: serde_json::Value = serde_json::from_str(&kubectl.run(&arguments, "", &[]).out).ok()?;
        let minor = version["clientVersion"]["minor"].as_str()?.trim_end_matches('+');
        kubectl.minor = minor.parse().ok()?;
        Some(kubectl)
    }

    /// Runs to the end. `NS` and `OBJECTS` in the arguments and `NS` in the input are filled in.
    pub(crate) fn run(&self, arguments: &[String], input: &str, environment: &[(String, String)]) -> Outcome {
        let objects = self.home.join("objects.yaml").display().to_string();
        let filled = arguments.iter().map(|a| a.replace("OBJECTS", &objects).replace("NS", &self.name));
        let mut child = Command::new(&self.program)
            .args(filled)
            .arg("--request-timeout=60s")
            .env("KUBECONFIG", &self.kubeconfig)
            .env("HOME", &self.home)
            .envs(environment.iter().map(|(k, v)| (k, v)))
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .expect("kubectl starts");
        let mut stdin = child.stdin.take().expect("piped");
        // A program that does not read its input closes it; that is no failure of the step.
        let _unread = stdin.write_all(input.replace("NS", &self.name).as_bytes());
        drop(stdin);
        let output = child.wait_with_output().expect("kubectl ends");
        Outcome {
            code: output.status.code().unwrap_or(-1),
            out: String::from_utf8_lossy(&output.stdout).into_owned(),
            err: String::from_utf8_lossy(&output.stderr).into_owned(),
        }
    }
}
