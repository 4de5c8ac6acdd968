//! Reading `session.txt`; its head says what the lines mean.

/// One run of kubectl and what must come of it.
#[derive(Debug, Default)]
pub(crate) struct Step {
    pub(crate) arguments: Vec<String>,
    pub(crate) input: String,
    pub(crate) environment: Vec<(String, String)>,
    since: u32,
    until: Option<u32>,
    pub(crate) exit: i32,
    pub(crate) out: Vec<String>,
    pub(crate) not_out: Vec<String>,
    pub(crate) err: Vec<String>,
}

impl Step {
    /// Meant for this minor version of kubectl.
    pub(crate) fn is_for(&self, minor: u32) -> bool {
        minor >= self.since && self.until.is_none_or(|last| minor <= last)
    }
}

/// The steps of a script.
///
/// # Errors
/// The first line that is none of the known forms.
pub(crate) fn parse(text: &str) -> Result<Vec<Step>, String> {
    let mut steps: Vec<Step> = Vec::new();
    for line in text.lines().filter(|line| !line.is_empty() && !line.starts_with('#')) {
        if let Some(arguments) = line.strip_prefix("> ") {
            let arguments = arguments.split(' ').map(str::to_owned).collect();
            steps.push(Step { arguments, ..Step::default() });
            continue;
        }
        let step = steps.last_mut().ok_or_else(|| format!("before the first step: {line}"))?;
        let (form, rest) = line.split_once(' ').ok_or_else(|| format!("not understood: {line}"))?;
        let minor = || rest.strip_prefix("1.").and_then(|m| m.parse::<u32>().ok());
        match form {
            "<" => step.input += &format!("{rest}\n"),
            "=" => step.out.push(rest.to_owned()),
            "!" => step.not_out.push(rest.to_owned()),
            "e" => step.err.push(rest.to_owned()),
            "exit" => step.exit = rest.parse().map_err(|_| format!("no exit code: {line}"))?,
            "since" => step.since = minor().ok_or_else(|| format!("no version: {line}"))?,
            "until" => step.until = Some(minor().ok_or_else(|| format!("no version: {line}"))?),
            "env" => {
                let (name, value) = rest.split_once('=').ok_or_else(|| format!("no variable: {line}"))?;
                step.environment.push((name.to_owned(), value.to_owned()));
            }
            _ => return Err(format!("not understood: {line}")),
        }
    }
    Ok(steps)
}
