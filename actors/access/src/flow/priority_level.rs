//! [`PriorityLevel`]: a level's share of the seats and what happens when they are taken.

use serde_json::Value;
use trireme_schema::view::View;

/// How a level queues.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Queuing {
    /// Number of queues.
    pub queues: usize,
    /// Queues in a flow's hand.
    pub hand_size: usize,
    /// Requests a queue holds.
    pub length_limit: usize,
}

/// Most queues a level may have, whatever its object says.
const QUEUES_LIMIT: usize = 10_000;

/// A PriorityLevelConfiguration.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PriorityLevel {
    /// Name.
    pub name: String,
    /// UID, for the answer's `X-Kubernetes-PF-PriorityLevel-UID`.
    pub uid: String,
    /// Never waits, never rejected.
    pub exempt: bool,
    /// Shares of the server's seats.
    pub shares: u32,
    /// Percent of its seats that others may borrow.
    pub lendable_percent: u32,
    /// Percent of its seats that it may borrow from others besides; `None` for no limit.
    pub borrowing_limit_percent: Option<u32>,
    /// How it queues; `None` to reject what cannot start.
    pub queuing: Option<Queuing>,
}

fn number(value: &Value, field: &str, default: u32) -> u32 {
    value.int(field).map_or(default, |number| u32::try_from(number.max(0)).unwrap_or(u32::MAX))
}

impl PriorityLevel {
    /// Reads `flowcontrol/v1.PriorityLevelConfiguration`.
    pub fn from_value(object: &Value) -> Self {
        let (metadata, spec) = (object.at("metadata"), object.at("spec"));
        let exempt = spec.text("type") == "Exempt";
        let own = spec.at(if exempt { "exempt" } else { "limited" });
        let response = own.at("limitResponse");
        let queuing = (response.text("type") == "Queue").then(|| {
            let queuing = response.at("queuing");
            let size =
                |field, default| usize::try_from(number(queuing, field, default)).unwrap_or(usize::MAX);
            let queues = size("queues", 64).clamp(1, QUEUES_LIMIT);
            Queuing {
                queues,
                hand_size: size("handSize", 8).clamp(1, queues),
                length_limit: size("queueLengthLimit", 50),
            }
        });
        Self {
            name: metadata.text("name").to_owned(),
            uid: metadata.text("uid").to_owned(),
            exempt,
            shares: number(own, "nominalConcurrencyShares", if exempt { 0 } else { 30 }),
            lendable_percent: number(own, "lendablePercent", 0).min(100),
            borrowing_limit_percent: own
                .has("borrowingLimitPercent")
                .then(|| number(own, "borrowingLimitPercent", 0)),
            queuing,
        }
    }
}
