//! The plugins, under upstream's names and with upstream's semantics. All are compiled in: a profile says which of them
//! run where, in which order and with what weight.

mod affinity;
mod filter;
mod fit;
mod hint;
mod reason;
mod score;
mod spread;
mod storage;

pub(crate) use filter::{Prepared, Refused, Rejection, filter, prepare, why};
pub(crate) use fit::fits_empty;
pub(crate) use hint::{ClusterEvent, Subject, may_help, registered};
pub(crate) use reason::Reason;
pub(crate) use score::{Scratch, score};

/// A plugin.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
#[repr(u8)]
pub(crate) enum Plugin {
    SchedulingGates,
    PrioritySort,
    NodeUnschedulable,
    NodeName,
    TaintToleration,
    NodeAffinity,
    NodePorts,
    NodeResourcesFit,
    VolumeRestrictions,
    NodeVolumeLimits,
    VolumeBinding,
    VolumeZone,
    PodTopologySpread,
    InterPodAffinity,
    DefaultPreemption,
    BalancedAllocation,
    ImageLocality,
    DefaultBinder,
    /// Not a plugin: an extender refused.
    Extender,
}

/// The order and the weights of upstream's defaults.
pub(crate) const DEFAULTS: [(Plugin, i64); 18] = [
    (Plugin::SchedulingGates, 0),
    (Plugin::PrioritySort, 0),
    (Plugin::NodeUnschedulable, 0),
    (Plugin::NodeName, 0),
    (Plugin::TaintToleration, 3),
    (Plugin::NodeAffinity, 2),
    (Plugin::NodePorts, 0),
    (Plugin::NodeResourcesFit, 1),
    (Plugin::VolumeRestrictions, 0),
    (Plugin::NodeVolumeLimits, 0),
    (Plugin::VolumeBinding, 0),
    (Plugin::VolumeZone, 0),
    (Plugin::PodTopologySpread, 2),
    (Plugin::InterPodAffinity, 2),
    (Plugin::DefaultPreemption, 0),
    (Plugin::BalancedAllocation, 1),
    (Plugin::ImageLocality, 1),
    (Plugin::DefaultBinder, 0),
];

impl Plugin {
    /// Upstream's name.
    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::SchedulingGates => "SchedulingGates",
            Self::PrioritySort => "PrioritySort",
            Self::NodeUnschedulable => "NodeUnschedulable",
            Self::NodeName => "NodeName",
            Self::TaintToleration => "TaintToleration",
            Self::NodeAffinity => "NodeAffinity",
            Self::NodePorts => "NodePorts",
            Self::NodeResourcesFit => "NodeResourcesFit",
            Self::VolumeRestrictions => "VolumeRestrictions",
            Self::NodeVolumeLimits => "NodeVolumeLimits",
            Self::VolumeBinding => "VolumeBinding",
            Self::VolumeZone => "VolumeZone",
            Self::PodTopologySpread => "PodTopologySpread",
            Self::InterPodAffinity => "InterPodAffinity",
            Self::DefaultPreemption => "DefaultPreemption",
            Self::BalancedAllocation => "NodeResourcesBalancedAllocation",
            Self::ImageLocality => "ImageLocality",
            Self::DefaultBinder => "DefaultBinder",
            Self::Extender => "Extender",
        }
    }

    /// By upstream's name.
    pub(crate) fn by_name(name: &str) -> Option<Self> {
        DEFAULTS.iter().map(|(plugin, _)| *plugin).find(|plugin| plugin.name() == name)
    }

    /// Runs at Filter.
    pub(crate) fn filters(self) -> bool {
        matches!(
            self,
            Self::NodeUnschedulable
                | Self::NodeName
                | Self::TaintToleration
                | Self::NodeAffinity
                | Self::NodePorts
                | Self::NodeResourcesFit
                | Self::VolumeRestrictions
                | Self::NodeVolumeLimits
                | Self::VolumeBinding
                | Self::VolumeZone
                | Self::PodTopologySpread
                | Self::InterPodAffinity
        )
    }

    /// Runs at Score.
    pub(crate) fn scores(self) -> bool {
        matches!(
            self,
            Self::TaintToleration
                | Self::NodeAffinity
                | Self::NodeResourcesFit
                | Self::PodTopologySpread
                | Self::InterPodAffinity
                | Self::BalancedAllocation
                | Self::ImageLocality
        )
    }
}

/// Plugins, as a set.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct PluginSet(u32);

impl PluginSet {
    /// Adds one.
    pub(crate) fn insert(&mut self, plugin: Plugin) {
        self.0 |= 1 << plugin as u8;
    }

    /// Whether one is in it.
    pub(crate) fn has(self, plugin: Plugin) -> bool {
        self.0 & 1 << plugin as u8 != 0
    }

    /// None at all.
    pub(crate) fn is_empty(self) -> bool {
        self.0 == 0
    }

    /// Whether both share one.
    pub(crate) fn meets(self, other: Self) -> bool {
        self.0 & other.0 != 0
    }

    /// All, in upstream's order, the extender last.
    pub(crate) fn iter(self) -> impl Iterator<Item = Plugin> {
        let all = DEFAULTS.iter().map(|(plugin, _)| *plugin).chain([Plugin::Extender]);
        all.filter(move |plugin| self.has(*plugin))
    }
}

impl FromIterator<Plugin> for PluginSet {
    fn from_iter<T: IntoIterator<Item = Plugin>>(all: T) -> Self {
        let mut set = Self::default();
        all.into_iter().for_each(|plugin| set.insert(plugin));
        set
    }
}
