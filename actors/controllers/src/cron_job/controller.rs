//! [`CronJobController`].

use std::sync::Arc;
use std::time::Duration;

use serde_json::{Value, json};
use trireme_schema::time::Moment;
use trireme_schema::view::{Edit, View};

use super::history;
use super::missed::Missed;
use super::schedule::{Schedule, zone};
use super::template::{SCHEDULED, job_name, new_job, rfc1123};
use crate::controller::{Change, Controller, Look, Refusable, Resource, resources};
use crate::job::conditions::finished_condition;
use crate::key::Key;
use crate::owner::{controller_of, is_deleting};
use crate::plan::{Plan, Propagation, Write};
use crate::world::World;
use crate::writes::{create, delete, event, update_status};

/// How long after a moment it is looked for, so that rounding never finds it too early; as upstream.
const AFTER_THE_MOMENT: Duration = Duration::from_millis(100);

static WATCHED: [Resource; 2] = [resources::CRON_JOBS, resources::JOBS];

/// Makes Jobs at the moments of schedules.
#[derive(Debug, Default)]
pub struct CronJobController {}

/// One look at a CronJob.
struct Sync<'a> {
    cron_job: &'a Value,
    jobs: Vec<Arc<Value>>,
    look: &'a Look<'a>,
    status: Value,
    active: Vec<Value>,
    told: Vec<Write>,
    /// Jobs that go so that another may come.
    replaced: Vec<Write>,
    fresh: Option<Value>,
    again_after: Option<Duration>,
}

impl<'a> Sync<'a> {
    fn new(cron_job: &'a Value, look: &'a Look<'a>) -> Self {
        let metadata = cron_job.at("metadata");
        let jobs =
            look.world.controlled_by(&resources::JOBS, metadata.text("namespace"), metadata.text("uid"));
        let status = cron_job.at("status");
        let active = status.list("active").to_vec();
        let status = if status.is_object() { status.clone() } else { json!({}) };
        Self {
            cron_job,
            jobs,
            look,
            status,
            active,
            told: Vec::new(),
            replaced: Vec::new(),
            fresh: None,
            again_after: None,
        }
    }

    fn run(mut self) -> Plan {
        self.see_jobs();
        let surplus = history::surplus(self.cron_job, &self.jobs);
        self.start();
        let list = std::mem::take(&mut self.active);
        if list.is_empty() {
            self.status.remove("active");
        } else {
            self.status.put("active", list);
        }
        let refused = self.look.refused.filter(|refused| refused.write == Refusable::Create);
        let fresh = self.fresh.take();
        let mut status = self.status;
        let mut plan = Plan { writes: self.told, again_after: self.again_after };
        plan.writes.extend(self.replaced);
        match (fresh, refused) {
            // What is known is written before another attempt that may be refused as well; when the job was made for
            // is read from the job then.
            (Some(job), Some(refused)) => {
                plan.writes.extend(update_status(&resources::CRON_JOBS, self.cron_job, status));
                plan.writes.extend(surplus);
                let message = format!("Error creating job: {}", refused.message);
                plan.writes.push(event(self.cron_job, "Warning", "FailedCreate", message));
                plan.writes.extend(created(self.cron_job, job));
            }
            (Some(job), None) => {
                let moment = scheduled_for(&job).expect("it was marked with its moment just now");
                plan.writes.extend(created(self.cron_job, job));
                status.put("lastScheduleTime", moment.to_time());
                plan.writes.extend(update_status(&resources::CRON_JOBS, self.cron_job, status));
                plan.writes.extend(surplus);
            }
            (None, _) => {
                plan.writes.extend(update_status(&resources::CRON_JOBS, self.cron_job, status));
                plan.writes.extend(surplus);
            }
        }
        plan
    }

    /// Brings the list of active jobs and the times in the status up to date.
    fn see_jobs(&mut self) {
        for job in self.jobs.clone() {
            let metadata = job.at("metadata");
            let (name, uid) = (metadata.text("name").to_owned(), metadata.text("uid"));
            let listed = self.active.iter().position(|reference| reference.text("uid") == uid);
            let finished = finished_condition(&job);
            match (listed, finished) {
                (None, None) if scheduled_for(&job).is_some() => self.active.push(reference(&job)),
                (None, None) => {
                    let message = format!("Saw a job that the controller did not create or forgot: {name}");
                    self.tell("Warning", "UnexpectedJob", message);
                }
                (Some(place), Some(condition)) => {
                    self.active.remove(place);
                    let outcome = condition.text("type");
                    let message = format!("Saw completed job: {name}, condition: {outcome}");
                    self.tell("Normal", "SawCompletedJob", message);
                }
                _ => {}
            }
            if finished.is_some_and(|condition| condition.text("type") == "Complete") {
                self.later(
                    "lastSuccessfulTime",
                    Moment::parse_time(job.at("status").text("completionTime")).ok(),
                );
            }
            self.later("lastScheduleTime", scheduled_for(&job));
        }
        let there = |uid: &str| self.jobs.iter().any(|job| job.at("metadata").text("uid") == uid);
        let (kept, gone): (Vec<Value>, Vec<Value>) =
            std::mem::take(&mut self.active).into_iter().partition(|reference| there(reference.text("uid")));
        self.active = kept;
        for reference in gone {
            self.tell("Normal", "MissingJob", format!("Active job went missing: {}", reference.text("name")));
        }
    }

    /// Moves a time in the status on.
    fn later(&mut self, name: &str, moment: Option<Moment>) {
        let before = Moment::parse_time(self.status.text(name)).ok();
        if let Some(moment) = moment.filter(|moment| before.is_none_or(|before| before < *moment)) {
            self.status.put(name, moment.to_time());
        }
    }

    /// Starts the job of the latest moment that has passed, if that is to be.
    fn start(&mut self) {
        let spec = self.cron_job.at("spec");
        let name = spec.text("timeZone");
        let zone = match zone(name) {
            Ok(zone) => zone,
            Err(error) => {
                return self.tell(
                    "Warning",
                    "UnknownTimeZone",
                    format!("invalid timeZone: {name:?}: {error}"),
                );
            }
        };
        if spec.is_true("suspend") {
            return;
        }
        let text = spec.text("schedule");
        if text.contains("TZ") {
            let message = format!(
                "CRON_TZ or TZ used in schedule {text:?} is not officially supported, see \
                 https://kubernetes.io/docs/concepts/workloads/controllers/cron-jobs/ for more details"
            );
            self.tell("Warning", "UnsupportedSchedule", message);
        }
        let schedule = match Schedule::parse(text, &zone) {
            Ok(schedule) => schedule,
            Err(error) => {
                let message = format!("unparseable schedule: {text:?} : {error}");
                return self.tell("Warning", "UnparseableSchedule", message);
            }
        };
        match self.missed(&schedule, true) {
            Ok(missed) => self.start_missed(&schedule, missed),
            Err(error) => {
                self.tell("Warning", "InvalidSchedule", format!("invalid schedule: {text} : {error}"));
            }
        }
    }

    fn missed(&self, schedule: &Schedule, with_deadline: bool) -> Result<Missed, &'static str> {
        let now = self.look.now.unix_seconds();
        let created = self.cron_job.at("metadata").text("creationTimestamp");
        let last = self.status.text("lastScheduleTime");
        let from = Moment::parse_time(if last.is_empty() { created } else { last });
        let mut earliest = from.map_or(now, Moment::unix_seconds);
        if let Some(seconds) = self.deadline_seconds().filter(|_| with_deadline) {
            earliest = earliest.max(now.saturating_sub(seconds));
        }
        Missed::between(schedule, earliest, now)
    }

    fn deadline_seconds(&self) -> Option<i64> {
        self.cron_job.at("spec").int("startingDeadlineSeconds")
    }

    fn start_missed(&mut self, schedule: &Schedule, missed: Missed) {
        let now = self.look.now.unix_seconds();
        self.look_at_the_next(schedule);
        if missed.is_many() {
            let message = "too many missed start times. Set or decrease .spec.startingDeadlineSeconds or check clock skew";
            self.tell("Warning", "TooManyMissedTimes", message.to_owned());
        }
        let Some(moment) = missed.latest else { return };
        if self.deadline_seconds().is_some_and(|seconds| moment.saturating_add(seconds) < now) {
            let message = format!("Missed scheduled time to start a job: {}", rfc1123(moment));
            return self.tell("Warning", "MissSchedule", message);
        }
        let name = job_name(self.cron_job, moment);
        let last = Moment::parse_time(self.status.text("lastScheduleTime")).map(Moment::unix_seconds);
        let namespace = &self.look.key.namespace;
        let taken = resources::JOBS.get(self.look.world, namespace, &name);
        if last == Ok(moment) || taken.is_some() {
            return;
        }
        let policy = self.cron_job.at("spec").text("concurrencyPolicy");
        if policy == "Forbid" && !self.active.is_empty() {
            let message =
                "Not starting job because prior execution is running and concurrency policy is Forbid";
            return self.tell("Normal", "JobAlreadyActive", message.to_owned());
        }
        if policy == "Replace" {
            self.replace();
        }
        self.fresh = Some(new_job(self.cron_job, moment, schedule.zone()));
    }

    fn replace(&mut self) {
        for reference in std::mem::take(&mut self.active) {
            let job = self.jobs.iter().find(|job| job.at("metadata").text("uid") == reference.text("uid"));
            if let Some(job) = job {
                self.replaced.push(delete(&resources::JOBS, job, Propagation::Background));
                let message = format!("Deleted job {}", reference.text("name"));
                self.replaced.push(event(self.cron_job, "Normal", "SuccessfulDelete", message));
            }
        }
    }

    /// Asks for a look just after the next moment.
    fn look_at_the_next(&mut self, schedule: &Schedule) {
        let now = self.look.now;
        let seconds = now.unix_seconds();
        let from = self.missed(schedule, false).map_or(seconds, |missed| missed.look_from(seconds));
        let Some(next) = schedule.next(from) else { return };
        let left = u64::try_from(next - seconds).unwrap_or(0);
        let passed = Duration::from_nanos(u64::from(now.nanos()));
        self.again_after = Some((Duration::from_secs(left) + AFTER_THE_MOMENT).saturating_sub(passed));
    }

    fn tell(&mut self, kind: &'static str, reason: &'static str, message: String) {
        self.told.push(event(self.cron_job, kind, reason, message));
    }
}

/// The moment that a job was made for, by its mark.
fn scheduled_for(job: &Value) -> Option<Moment> {
    Moment::parse_time(job.at("metadata").at("annotations").text(SCHEDULED)).ok()
}

fn reference(job: &Value) -> Value {
    let metadata = job.at("metadata");
    json!({
        "apiVersion": "batch/v1", "kind": "Job", "name": metadata.text("name"),
        "namespace": metadata.text("namespace"), "uid": metadata.text("uid"),
        "resourceVersion": metadata.text("resourceVersion"),
    })
}

fn created(cron_job: &Value, job: Value) -> [Write; 2] {
    let message = format!("Created job {}", job.at("metadata").text("name"));
    [create(&resources::JOBS, job), event(cron_job, "Normal", "SuccessfulCreate", message)]
}

impl Controller for CronJobController {
    fn name(&self) -> &'static str {
        "cronjob-controller"
    }

    fn resources(&self) -> &'static [Resource] {
        &WATCHED
    }

    fn keys(&self, change: &Change, _: &dyn World) -> Vec<Key> {
        let versions = [change.old.as_deref(), change.new.as_deref()].into_iter().flatten();
        let mut keys: Vec<Key> = if change.resource == resources::CRON_JOBS {
            versions
                .map(|object| {
                    Key::new(object.at("metadata").text("namespace"), object.at("metadata").text("name"))
                })
                .collect()
        } else {
            let owned = versions.filter_map(|job| {
                let owner = controller_of(job).filter(|owner| owner.text("kind") == "CronJob")?;
                Some(Key::new(job.at("metadata").text("namespace"), owner.text("name")))
            });
            owned.collect()
        };
        keys.sort();
        keys.dedup();
        keys
    }

    fn reconcile(&self, look: &Look<'_>) -> Plan {
        let found = resources::CRON_JOBS.get(look.world, &look.key.namespace, &look.key.name);
        match found {
            Some(cron_job) if !is_deleting(&cron_job) => Sync::new(&cron_job, look).run(),
            _ => Plan::settled(),
        }
    }
}
