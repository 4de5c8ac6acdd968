//! CronJobs: a Job at each moment of a schedule.
//!
//! Laws: a moment has at most one job, whose name is made from it; what was missed while nobody looked is made up for
//! once, with the latest moment, unless `startingDeadlineSeconds` has passed; a clock that jumps back starts nothing
//! twice.
//!
//! Time zones come from a table inside the binary, so that every machine reads a schedule alike; without a zone a
//! schedule is in UTC.
//!
//! Source: upstream's cronjob controller (v2) and the schedules of robfig/cron v3; KEP-3140 (time zones).

mod controller;
mod history;
mod missed;
mod schedule;
mod template;

pub use controller::CronJobController;
