//! Test deliveries: one call with sample values, whose result the user sees at once.

use std::sync::Arc;

use chrono::{DateTime, Utc};
use schema::{Currency, DeliveryId};
use tenancy::Secret;
use tokio::sync::Semaphore;

use crate::content::Content;
use crate::destinations::Destination;
use crate::facts::Facts;
use crate::guard::Guard;
use crate::message::Writer;
use crate::send::{CallMethod, Caller, Outcome};

/// Most test deliveries of a node at once.
const MAX_TESTS: usize = 8;

/// Sender of test deliveries. Cheap to clone.
#[derive(Clone)]
pub struct Tester {
    caller: Caller,
    writer: Writer,
    slots: Arc<Semaphore>,
}

/// Test delivery that was made.
#[derive(Debug, Clone)]
pub struct Tested {
    /// Method.
    pub method: CallMethod,
    /// URL that was called, with a placeholder for each secret.
    pub url: String,
    /// Result.
    pub outcome: Outcome,
}

/// Reason why no test delivery was made.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum TestError {
    /// Too many tests at once.
    #[error("Too many test deliveries run at the moment. Try again in a few seconds.")]
    TooMany,
    /// Settings that yield no call.
    #[error("{0}")]
    Unsendable(String),
}

impl Tester {
    /// Creates a sender.
    #[must_use]
    pub fn new(caller: Caller, secret: Secret) -> Self {
        Self {
            caller,
            writer: Writer::new(secret),
            slots: Arc::new(Semaphore::new(MAX_TESTS)),
        }
    }

    /// Guard of the calls.
    #[must_use]
    pub fn guard(&self) -> &Guard {
        self.caller.guard()
    }

    /// Sends a sample event to a destination; takes at most 15 s. It is in no log.
    ///
    /// # Errors
    /// [`TestError`].
    pub async fn test(
        &self,
        destination: &Destination,
        currency: Currency,
        now: DateTime<Utc>,
    ) -> Result<Tested, TestError> {
        let _slot = self.slots.try_acquire().map_err(|_| TestError::TooMany)?;
        let facts = Facts::sample(destination.network_id, currency, DeliveryId::fresh(now), now);
        let call = self
            .writer
            .call(&destination.target(), &Content::Conversion(Box::new(facts)), now)
            .map_err(TestError::Unsendable)?;
        let outcome = self.caller.call(&call).await;
        Ok(Tested {
            method: call.method,
            url: call.shown_url,
            outcome,
        })
    }
}
