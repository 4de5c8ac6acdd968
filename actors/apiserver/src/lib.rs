//! trireme-apiserver: the Kubernetes API over the replicated store: one front door for every read and write.
