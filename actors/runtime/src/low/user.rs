//! Who a process is: numbers and names looked up in the image's own `/etc/passwd` and `/etc/group`.

use std::fs::File;
use std::io::Read;
use std::path::Path;

use serde::{Deserialize, Serialize};

/// Bytes of a passwd or group file that are read.
const FILE_LIMIT_BYTES: u64 = 4 * 1024 * 1024;
/// Groups the kernel takes.
const GROUPS_LIMIT: usize = 65_536;

/// What was asked for.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct WantedUser {
    /// `runAsUser`.
    pub(crate) uid: Option<u32>,
    /// `runAsGroup`.
    pub(crate) gid: Option<u32>,
    /// The image's `user[:group]`.
    pub(crate) image: String,
    /// Further groups.
    pub(crate) extra: Vec<u32>,
    /// The image's /etc/group adds none.
    pub(crate) strict: bool,
}

/// Who it is.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct User {
    pub(crate) uid: u32,
    pub(crate) gid: u32,
    pub(crate) groups: Vec<u32>,
    pub(crate) home: String,
}

struct Account {
    name: String,
    uid: u32,
    gid: u32,
    home: String,
}

struct Group {
    name: String,
    gid: u32,
    members: Vec<String>,
}

/// Looks a user up below a root folder; call it inside the container's root, so that no link leads outside.
///
/// # Errors
/// A text when a name is not there.
pub(crate) fn resolve(wanted: &WantedUser, root: &Path) -> Result<User, String> {
    let accounts = accounts(&read(&root.join("etc/passwd")));
    let groups = groups(&read(&root.join("etc/group")));
    let (user_text, group_text) = match wanted.image.split_once(':') {
        Some((user, group)) => (user, group),
        None => (wanted.image.as_str(), ""),
    };
    let account = match wanted.uid {
        Some(uid) => by_id(&accounts, uid),
        None if user_text.is_empty() => by_id(&accounts, 0),
        None => match accounts.iter().find(|account| account.name == user_text) {
            Some(account) => Account { name: account.name.clone(), home: account.home.clone(), ..*account },
            None => by_id(&accounts, user_text.parse().map_err(|_| no_such("user", user_text))?),
        },
    };
    // A group of the image goes with the image's user only.
    let gid = match (wanted.gid, wanted.uid, group_text) {
        (Some(gid), _, _) => gid,
        (None, Some(_), _) | (None, None, "") => account.gid,
        (None, None, group) => match groups.iter().find(|known| known.name == group) {
            Some(known) => known.gid,
            None => group.parse().map_err(|_| no_such("group", group))?,
        },
    };
    let mut all = vec![gid];
    if !wanted.strict && !account.name.is_empty() {
        let member = |group: &&Group| group.members.contains(&account.name);
        all.extend(groups.iter().filter(member).map(|group| group.gid));
    }
    all.extend(&wanted.extra);
    let mut seen = std::collections::BTreeSet::new();
    all.retain(|gid| seen.insert(*gid));
    all.truncate(GROUPS_LIMIT);
    let home = if account.home.is_empty() { "/".to_owned() } else { account.home };
    Ok(User { uid: account.uid, gid, groups: all, home })
}

fn no_such(what: &str, name: &str) -> String {
    format!(
        "unable to find {what} {name}: no matching entries in the image's /etc/{}",
        if what == "user" { "passwd" } else { "group" }
    )
}

fn by_id(accounts: &[Account], uid: u32) -> Account {
    match accounts.iter().find(|account| account.uid == uid) {
        Some(known) => Account { name: known.name.clone(), home: known.home.clone(), ..*known },
        None => Account {
            name: String::new(),
            uid,
            gid: 0,
            home: if uid == 0 { "/root".to_owned() } else { "/".to_owned() },
        },
    }
}

fn read(path: &Path) -> String {
    let mut bytes = Vec::new();
    if let Ok(file) = File::open(path) {
        // What cannot be read has no accounts.
        let _ = file.take(FILE_LIMIT_BYTES).read_to_end(&mut bytes);
    }
    String::from_utf8_lossy(&bytes).into_owned()
}

fn accounts(text: &str) -> Vec<Account> {
    let line = |line: &str| {
        let fields: Vec<&str> = line.split(':').collect();
        let [name, _, uid, gid, _, home, ..] = fields.as_slice() else { return None };
        Some(Account {
            name: (*name).to_owned(),
            uid: uid.parse().ok()?,
            gid: gid.parse().ok()?,
            home: (*home).to_owned(),
        })
    };
    text.lines().filter_map(line).collect()
}

fn groups(text: &str) -> Vec<Group> {
    let line = |line: &str| {
        let fields: Vec<&str> = line.split(':').collect();
        let [name, _, gid, members, ..] = fields.as_slice() else { return None };
        let members = members.split(',').map(str::trim).filter(|name| !name.is_empty()).map(str::to_owned);
        Some(Group { name: (*name).to_owned(), gid: gid.parse().ok()?, members: members.collect() })
    };
    text.lines().filter_map(line).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn users_come_from_the_image_unless_the_pod_says_so() {
        let root = tempfile::tempdir().unwrap();
        std::fs::create_dir(root.path().join("etc")).unwrap();
        std::fs::write(
            root.path().join("etc/passwd"),
            "root:x:0:0:root:/root:/bin/sh\nweb:x:33:34:web:/var/www:/bin/sh\nbroken line\n",
        )
        .unwrap();
        std::fs::write(root.path().join("etc/group"), "web:x:34:\ndisk:x:6:root,web\nlog:x:7: web \n")
            .unwrap();
        let of = |uid, gid, image: &str, extra: &[u32], strict| {
            let wanted = WantedUser { uid, gid, image: image.to_owned(), extra: extra.to_vec(), strict };
            resolve(&wanted, root.path()).map(|user| (user.uid, user.gid, user.groups, user.home))
        };
        assert_eq!(of(None, None, "", &[], false), Ok((0, 0, vec![0, 6], "/root".into())));
        assert_eq!(of(None, None, "web", &[9], false), Ok((33, 34, vec![34, 6, 7, 9], "/var/www".into())));
        assert_eq!(of(None, None, "web", &[9], true), Ok((33, 34, vec![34, 9], "/var/www".into())));
        assert_eq!(of(None, None, "33:disk", &[], true), Ok((33, 6, vec![6], "/var/www".into())));
        assert_eq!(of(Some(1000), None, "web:disk", &[], false), Ok((1000, 0, vec![0], "/".into())));
        assert_eq!(of(Some(33), Some(5), "", &[5], false), Ok((33, 5, vec![5, 6, 7], "/var/www".into())));
        assert!(of(None, None, "nobody", &[], false).unwrap_err().contains("unable to find user nobody"));
        assert!(of(None, None, "web:none", &[], false).unwrap_err().contains("unable to find group none"));
    }
}
