use base64::Engine;
use base64::prelude::BASE64_STANDARD;
use trireme_kernel::Reply;
use trireme_pki::SealTo;

use super::Book;
use super::calls::CertificateAnswer;
use super::effect::ClusterAnswer;
use super::join::JoinAnswer;

/// Who waits for what.
pub(super) enum Waiter {
    Join { reply: Reply<JoinAnswer>, request_der: Vec<u8>, seal_to: Option<SealTo>, made: Option<Made> },
    Renew { reply: Reply<CertificateAnswer>, request_der: Vec<u8>, made: Option<Made> },
    Token { reply: Reply<String>, text: String },
    Done(Reply<()>),
    Book(Reply<Book>),
}

/// A signed certificate that waits for the book to be on disk.
pub(super) struct Made {
    pub(super) chain_der: Vec<Vec<u8>>,
    pub(super) sealed_authority: Option<Vec<u8>>,
}

impl Waiter {
    pub(super) fn answer(self, answer: ClusterAnswer) {
        match (self, answer) {
            (Self::Join { reply, made: Some(made), .. }, ClusterAnswer::Issued(servers)) => {
                let encode = |der: &Vec<u8>| BASE64_STANDARD.encode(der);
                let chain = made.chain_der.iter().map(encode).collect();
                let authority = made.sealed_authority.as_ref().map(encode);
                reply.answer(JoinAnswer::Joined { chain, authority, servers });
            }
            (Self::Join { reply, .. }, ClusterAnswer::Refused { public, .. }) => {
                reply.answer(JoinAnswer::Refused(public));
            }
            (Self::Renew { reply, made: Some(made), .. }, ClusterAnswer::Issued(_)) => {
                reply.answer(CertificateAnswer { chain_der: made.chain_der });
            }
            (Self::Token { reply, text }, ClusterAnswer::Done) => reply.answer(text),
            (Self::Done(reply), ClusterAnswer::Done) => reply.answer(()),
            (Self::Book(reply), ClusterAnswer::Book(book)) => reply.answer(*book),
            (Self::Renew { reply, .. }, ClusterAnswer::Refused { public, .. }) => reply.refuse(public),
            (Self::Token { reply, .. }, ClusterAnswer::Refused { public, .. }) => reply.refuse(public),
            (Self::Done(reply), ClusterAnswer::Refused { public, .. }) => reply.refuse(public),
            (Self::Book(reply), ClusterAnswer::Refused { public, .. }) => reply.refuse(public),
            // A pairing the core never makes: letting go of the reply tells the caller "no answer".
            (waiter, answer) => {
                tracing::error!(?answer, "an answer does not fit its question");
                drop(waiter);
            }
        }
    }
}
