//! What an operator does about a TXT record that the CA did not find.

use super::problem::{Problem, ProblemKind};
use super::resource::{ChallengeType, Identifier};

/// The sentence, where the CA's problem comes of a record.
pub(super) fn sentence(
    name: &Identifier,
    challenge: &ChallengeType,
    (problem, said): (&Problem, &str),
) -> Option<String> {
    let is_missing = matches!(
        problem.kind,
        ProblemKind::Dns | ProblemKind::Unauthorized | ProblemKind::IncorrectResponse
    );
    match challenge {
        ChallengeType::Dns01 if is_missing => Some(format!(
            "the CA did not find this machine's TXT record at _acme-challenge.{name}: {said}; \
             see that all name servers of the zone show what the `dns` setting writes"
        )),
        ChallengeType::DnsPersist01 if is_missing => Some(format!(
            "the CA did not find the TXT record at _validation-persist.{name} that lets this account have certificates: \
             {said}; set the one that `proxy certs show` prints"
        )),
        _ => None,
    }
}
