//! Which plugins of a profile run where: upstream's rules for `multiPoint`, `enabled` and `disabled`.

use super::ConfigError;
use super::wire::{PluginSet, WirePlugins};
use crate::plugins::{DEFAULTS, Plugin};

/// The plugins of one extension point, in order, with weights. `belongs` says which take part in the point at all.
pub(super) fn point(
    plugins: &WirePlugins,
    own: &PluginSet,
    path: &str,
    belongs: fn(Plugin) -> bool,
) -> Result<Vec<(Plugin, i64)>, ConfigError> {
    let multi = overlay(&DEFAULTS, &plugins.multi_point, &format!("{path}.multiPoint"))?;
    let multi: Vec<_> = multi.into_iter().filter(|(plugin, _)| belongs(*plugin)).collect();
    let disabled =
        |plugin: Plugin| own.disabled.iter().any(|one| one.name == "*" || one.name == plugin.name());
    let mut all: Vec<(Plugin, i64)> = Vec::new();
    // What is enabled for the point itself comes first and keeps its weight; the rest of multiPoint follows, unless
    // disabled here.
    let given: Vec<_> = own
        .enabled
        .iter()
        .map(|one| known(&one.name, path).map(|plugin| (plugin, one.weight)))
        .collect::<Result<_, _>>()?;
    for (plugin, weight) in &multi {
        if let Some((_, weight)) = given.iter().find(|(own, _)| own == plugin) {
            all.push((*plugin, weight.unwrap_or(1)));
        } else if !disabled(*plugin) {
            all.push((*plugin, *weight));
        }
    }
    for (plugin, weight) in given {
        if all.iter().any(|(own, _)| *own == plugin) {
            continue;
        }
        if !belongs(plugin) {
            let why = format!("plugin {:?} does not extend this point", plugin.name());
            return Err(ConfigError::field(path, why));
        }
        all.push((plugin, weight.unwrap_or(1)));
    }
    Ok(all)
}

fn overlay(
    defaults: &[(Plugin, i64)],
    custom: &PluginSet,
    path: &str,
) -> Result<Vec<(Plugin, i64)>, ConfigError> {
    let disabled =
        |plugin: Plugin| custom.disabled.iter().any(|one| one.name == "*" || one.name == plugin.name());
    let mut all: Vec<(Plugin, i64)> =
        defaults.iter().copied().filter(|(plugin, _)| !disabled(*plugin)).collect();
    for one in &custom.enabled {
        let plugin = known(&one.name, path)?;
        let weight = one.weight.unwrap_or(1);
        match all.iter_mut().find(|(own, _)| *own == plugin) {
            Some(there) => there.1 = weight,
            None => all.push((plugin, weight)),
        }
    }
    Ok(all)
}

fn known(name: &str, path: &str) -> Result<Plugin, ConfigError> {
    Plugin::by_name(name).ok_or_else(|| {
        let known: Vec<&str> = DEFAULTS.iter().map(|(plugin, _)| plugin.name()).collect();
        let why = format!("plugin {name:?} does not exist; there are {}", known.join(", "));
        ConfigError::field(path, why)
    })
}
