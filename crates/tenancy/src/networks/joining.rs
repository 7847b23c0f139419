//! Settings for affiliates' applications to a network.

use diesel::prelude::*;
use schema::{Words, networks, text_enum};
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

use super::addresses::is_host;
use crate::error::{ChangeError, FieldErrors, check_name, check_text};

text_enum! {
    /// Rule for approving applications automatically.
    pub enum AutoApprove {
        /// Every application is decided by a user.
        None = "none",
        /// Applications from the listed e-mail domains are approved.
        Listed = "listed",
        /// Every application is approved.
        All = "all",
    }
}

/// Settings for affiliates' applications.
#[derive(Debug, Clone, PartialEq, Eq, HasQuery, AsChangeset, Insertable, Serialize, Deserialize)]
#[diesel(table_name = networks)]
pub struct Joining {
    /// True if affiliates can apply.
    pub join_open: bool,
    /// Text shown above the application form.
    pub join_greeting: String,
    /// Questions for applicants; one that ends with * is required.
    pub join_questions: Words,
    /// Rule for approving applications automatically.
    pub auto_approve: AutoApprove,
    /// E-mail domains for [`AutoApprove::Listed`].
    pub auto_approve_domains: Words,
}

impl Joining {
    /// Settings of a network that accepts no applications.
    #[must_use]
    pub fn closed() -> Self {
        Self {
            join_open: false,
            join_greeting: String::new(),
            join_questions: Words::default(),
            auto_approve: AutoApprove::None,
            auto_approve_domains: Words::default(),
        }
    }

    /// True if an application from this e-mail address is approved automatically.
    #[must_use]
    pub fn approves(&self, email: &str) -> bool {
        let domain = email.rsplit_once('@').map_or("", |(_, domain)| domain);
        match self.auto_approve {
            AutoApprove::None => false,
            AutoApprove::All => true,
            AutoApprove::Listed => self.auto_approve_domains.0.iter().any(|listed| listed == domain),
        }
    }

    /// Validates the settings and lower-cases the domains.
    ///
    /// # Errors
    /// [`ChangeError::Fields`].
    pub fn checked(mut self) -> Result<Self, ChangeError> {
        let mut errors = FieldErrors::default();
        let greeting = errors.take("join_greeting", check_text(&self.join_greeting));
        let questions = &self.join_questions.0;
        if questions.len() > 20 || questions.iter().any(|question| check_name(question).is_err()) {
            errors.add(
                "join_questions",
                "Enter at most 20 questions of at most 120 characters each.",
            );
        }
        for domain in &mut self.auto_approve_domains.0 {
            *domain = domain.trim_start_matches('@').to_lowercase();
            if !is_host(domain) || !domain.contains('.') {
                errors.add(
                    "auto_approve_domains",
                    format!("“{domain}” is not a domain such as example.com."),
                );
            }
        }
        if self.auto_approve_domains.0.len() > 100 {
            errors.add("auto_approve_domains", "List at most 100 domains.");
        }
        self.join_greeting = errors.or(greeting)?;
        Ok(self)
    }

    pub(super) fn to_json(&self) -> Value {
        json!({
            "join_open": self.join_open,
            "join_greeting": self.join_greeting,
            "join_questions": self.join_questions,
            "auto_approve": self.auto_approve.as_str(),
            "auto_approve_domains": self.auto_approve_domains,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn applications_are_approved_by_domain() {
        let mut joining = Joining::closed();
        joining.auto_approve = AutoApprove::Listed;
        joining.auto_approve_domains = Words(vec!["@Good.example".to_owned()]);
        let joining = joining.checked().unwrap();
        assert!(joining.approves("me@good.example"));
        assert!(!joining.approves("me@evil.example") && !joining.approves("me@not-good.example"));
    }
}
