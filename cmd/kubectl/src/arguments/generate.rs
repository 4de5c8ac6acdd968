//! More kinds that `create` makes without a file.

use clap::{Args, Subcommand};

use super::common::{Files, Writing};

#[derive(Args, Debug)]
pub(crate) struct CronJob {
    pub(crate) name: String,
    /// Image name to run
    #[arg(long)]
    pub(crate) image: String,
    /// A schedule in the Cron format the job should be run with
    #[arg(long)]
    pub(crate) schedule: String,
    /// Job's restart policy: OnFailure or Never
    #[arg(long, default_value = "OnFailure")]
    pub(crate) restart: String,
    /// Command of the container
    #[arg(last = true)]
    pub(crate) command: Vec<String>,
}

#[derive(Debug, Subcommand)]
pub(crate) enum CreateService {
    /// Create a ClusterIP service
    Clusterip {
        name: String,
        /// Port pairs can be specified as '<port>:<targetPort>'
        #[arg(long, value_delimiter = ',')]
        tcp: Vec<String>,
        /// Assign your own ClusterIP or set to 'None' for a 'headless' service (no loadbalancing)
        #[arg(long)]
        clusterip: Option<String>,
    },
    /// Create a NodePort service
    Nodeport {
        name: String,
        /// Port pairs can be specified as '<port>:<targetPort>'
        #[arg(long, value_delimiter = ',')]
        tcp: Vec<String>,
        /// Port used to expose the service on each node in a cluster
        #[arg(long)]
        node_port: Option<u16>,
    },
    /// Create a LoadBalancer service
    Loadbalancer {
        name: String,
        /// Port pairs can be specified as '<port>:<targetPort>'
        #[arg(long, value_delimiter = ',')]
        tcp: Vec<String>,
    },
    /// Create an ExternalName service
    Externalname {
        name: String,
        /// External name of service
        #[arg(long)]
        external_name: String,
        /// Port pairs can be specified as '<port>:<targetPort>'
        #[arg(long, value_delimiter = ',')]
        tcp: Vec<String>,
    },
}

/// What a role allows.
#[derive(Args, Debug)]
pub(crate) struct Rules {
    pub(crate) name: String,
    /// Verb that applies to the resources contained in the rule
    #[arg(long, value_delimiter = ',')]
    pub(crate) verb: Vec<String>,
    /// Resource that the rule applies to: TYPE[.GROUP][/SUBRESOURCE]
    #[arg(long, value_delimiter = ',')]
    pub(crate) resource: Vec<String>,
    /// Resource in the white list that the rule applies to
    #[arg(long)]
    pub(crate) resource_name: Vec<String>,
}

#[derive(Args, Debug)]
pub(crate) struct ClusterRules {
    #[command(flatten)]
    pub(crate) rules: Rules,
    /// A partial url that user should have access to
    #[arg(long, value_delimiter = ',', value_name = "PATH")]
    pub(crate) non_resource_url: Vec<String>,
    /// An aggregation label selector for combining ClusterRoles: KEY=VALUE,...
    #[arg(long)]
    pub(crate) aggregation_rule: Option<String>,
}

/// Whom a binding gives a role; users come by `--user`.
#[derive(Args, Debug)]
pub(crate) struct Subjects {
    pub(crate) name: String,
    /// ClusterRole this binding should reference
    #[arg(long)]
    pub(crate) clusterrole: Option<String>,
    /// Groups to bind to the role
    #[arg(long)]
    pub(crate) group: Vec<String>,
    /// Service accounts to bind to the role, in the format <namespace>:<name>
    #[arg(long)]
    pub(crate) serviceaccount: Vec<String>,
    /// Of the connection's flag, which means users to bind here.
    #[arg(skip)]
    pub(crate) users: Vec<String>,
}

#[derive(Args, Debug)]
pub(crate) struct NamespacedSubjects {
    #[command(flatten)]
    pub(crate) subjects: Subjects,
    /// Role this RoleBinding should reference
    #[arg(long)]
    pub(crate) role: Option<String>,
}

#[derive(Args, Debug)]
pub(crate) struct Quota {
    pub(crate) name: String,
    /// A comma-delimited set of resource=quantity pairs that define a hard limit
    #[arg(long, default_value = "")]
    pub(crate) hard: String,
    /// A comma-delimited set of quota scopes that must all match each object tracked by the quota
    #[arg(long, value_delimiter = ',')]
    pub(crate) scopes: Vec<String>,
}

#[derive(Args, Debug)]
pub(crate) struct DisruptionBudget {
    pub(crate) name: String,
    /// The minimum number or percentage of available pods this budget requires
    #[arg(long)]
    pub(crate) min_available: Option<String>,
    /// The maximum number or percentage of unavailable pods this budget requires
    #[arg(long)]
    pub(crate) max_unavailable: Option<String>,
    /// A label selector to use for this budget; only equality-based requirements
    #[arg(long, default_value = "")]
    pub(crate) selector: String,
}

#[derive(Args, Debug)]
pub(crate) struct PriorityClass {
    pub(crate) name: String,
    /// The value of this priority class
    #[arg(long, default_value_t = 0, allow_negative_numbers = true)]
    pub(crate) value: i32,
    /// Whether this PriorityClass should be considered as the default priority
    #[arg(long)]
    pub(crate) global_default: bool,
    /// Guidelines on when this priority class should be used
    #[arg(long, default_value = "")]
    pub(crate) description: String,
    /// The policy for preempting pods with lower priority
    #[arg(long, default_value = "PreemptLowerPriority")]
    pub(crate) preemption_policy: String,
}

#[derive(Args, Debug)]
pub(crate) struct Ingress {
    pub(crate) name: String,
    /// Rule in format host/path=service:port[,tls[=secretname]]; paths with a trailing * are of pathType Prefix
    #[arg(long)]
    pub(crate) rule: Vec<String>,
    /// Ingress Class to be used
    #[arg(long)]
    pub(crate) class: Option<String>,
    /// Default service for backend, in format of svcname:port
    #[arg(long)]
    pub(crate) default_backend: Option<String>,
    /// Annotation to insert in the ingress object, in the format annotation=value
    #[arg(long)]
    pub(crate) annotation: Vec<String>,
}

#[derive(Args, Debug)]
pub(crate) struct Autoscale {
    /// TYPE NAME, TYPE/NAME
    #[arg(value_name = "TYPE[/NAME] [NAME]")]
    pub(crate) words: Vec<String>,
    #[command(flatten)]
    pub(crate) files: Files,
    /// The lower limit for the number of pods; the server's default if it is not given
    #[arg(long)]
    pub(crate) min: Option<u32>,
    /// The upper limit for the number of pods
    #[arg(long)]
    pub(crate) max: u32,
    /// Target CPU utilization over all the pods, in percent of what is requested
    #[arg(long)]
    pub(crate) cpu_percent: Option<u32>,
    /// Target CPU: a percentage such as 70%, or an average such as 500m
    #[arg(long)]
    pub(crate) cpu: Option<String>,
    /// Target memory: a percentage such as 60%, or an average such as 200Mi
    #[arg(long)]
    pub(crate) memory: Option<String>,
    /// The name for the newly created object; the input resource's if it is not given
    #[arg(long)]
    pub(crate) name: Option<String>,
    #[command(flatten)]
    pub(crate) writing: Writing,
}
