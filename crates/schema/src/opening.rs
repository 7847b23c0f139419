//! Opening of the database: reaching and checking it, which a server may begin to serve before.

use tokio::sync::watch;

/// Gate that opens once the database was reached and checked. Until then, the rest of the process connects to none: it could be of
/// another release or of another installation. Cheap to clone.
#[derive(Debug, Clone)]
pub struct Opening(watch::Sender<bool>);

impl Default for Opening {
    /// Returns the opening of a database that was checked before.
    fn default() -> Self {
        Self(watch::Sender::new(true))
    }
}

impl Opening {
    /// Returns the opening of a database that is not checked yet.
    #[must_use]
    pub fn pending() -> Self {
        Self(watch::Sender::new(false))
    }

    /// Lets the process connect.
    pub fn open(&self) {
        self.0.send_replace(true);
    }

    /// True if the database was reached and checked.
    #[must_use]
    pub fn is_open(&self) -> bool {
        *self.0.borrow()
    }

    /// Waits until the database is open, and does `work` then.
    pub async fn then<T>(self, work: impl Future<Output = T>) -> T {
        // Fails only if all senders are gone, and this is one.
        drop(self.0.subscribe().wait_for(|is_open| *is_open).await);
        work.await
    }
}
