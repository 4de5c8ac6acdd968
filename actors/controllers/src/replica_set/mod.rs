//! ReplicaSet and ReplicationController: a number of equal pods.
//!
//! Laws: never more active pods than asked for plus what others made; pods that leave are chosen by [`rank`]; pods that
//! match and belong to nobody are taken in, those that match no longer are let go.

mod controller;
mod flavor;
mod rank;
mod status;

pub use controller::ReplicaSetController;
