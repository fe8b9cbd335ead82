//! What pages say, in every language. A language is one value of [`Texts`]: a text that is missing does not compile.

mod en;
mod fr;
mod zh_hans;
mod zh_hant;

use crate::protocol::locale::Locale;

/// A text that names something: an app, a person.
pub type With = fn(&str) -> String;

/// A text that names two things.
pub type WithTwo = fn(&str, &str) -> String;

/// Every text of every page. Whole sentences, so that a language can order its words.
#[expect(missing_docs, reason = "the English value beside it says what each is")]
pub struct Texts {
    pub lang: &'static str,
    /// What the language calls itself.
    pub language_name: &'static str,
    pub language: &'static str,

    pub sign_in: &'static str,
    pub sign_in_to: With,
    pub choose_way: &'static str,
    pub other_ways: &'static str,
    pub username: &'static str,
    pub password: &'static str,
    pub keep_signed_in: &'static str,
    pub continue_to: With,
    pub continue_to_by_password: With,
    pub signed_in_as: With,
    pub go_on_as: With,
    pub go_on_as_question: With,
    pub use_another_account: &'static str,
    pub choose_account: &'static str,
    pub sign_in_again_as: With,

    pub bad_credentials: &'static str,
    pub username_missing: &'static str,
    pub password_too_long: &'static str,
    pub not_allowed: &'static str,
    pub upstream_unavailable: With,
    pub away_now: With,
    pub other_account_needed: WithTwo,
    pub not_accepted: With,
    pub no_answer: With,
    pub cancelled: &'static str,
    pub not_signed_in: With,
    pub several_sign_ins: &'static str,
    pub page_too_old: &'static str,

    pub consent_title: With,
    pub consent_intro: With,
    pub consent_resources: &'static str,
    pub scope_openid: &'static str,
    pub scope_profile: &'static str,
    pub scope_email: &'static str,
    pub scope_address: &'static str,
    pub scope_phone: &'static str,
    pub scope_groups: &'static str,
    pub scope_membership: &'static str,
    pub scope_offline_access: &'static str,
    pub scope_upstream: With,
    pub scope_other: With,
    pub claim_name: &'static str,
    pub claim_other: With,
    pub allow: &'static str,
    pub deny: &'static str,
    pub cancel: &'static str,
    pub app_logo: With,
    pub app_policy: With,
    pub app_terms: With,
    pub registered_itself: With,
    pub registered_itself_device: &'static str,

    pub arrived_as: WithTwo,
    pub not_you: &'static str,

    pub sign_out: &'static str,
    pub sign_out_question: With,
    pub sign_out_anyway: &'static str,
    pub also_signed_in: &'static str,
    pub still_signed_in_here: &'static str,
    pub sign_out_all_here: &'static str,
    pub stay_signed_in: &'static str,
    pub signed_out: &'static str,
    pub signed_out_text: &'static str,
    pub still_signed_in_at: With,
    pub sign_out_at: With,
    pub sign_out_there: &'static str,

    pub error_title: &'static str,
    pub error_id: With,
    pub details_for_developer: &'static str,
    pub error_request: &'static str,
    pub error_request_what: &'static str,
    pub error_expired: &'static str,
    pub error_expired_what: &'static str,
    pub error_done: &'static str,
    pub error_done_what: &'static str,
    pub error_form: &'static str,
    pub error_form_what: &'static str,
    pub error_sign_out: &'static str,
    pub error_sign_out_what: &'static str,
    pub error_server: &'static str,
    pub error_server_what: &'static str,
    pub error_not_found: &'static str,
    pub error_not_found_what: &'static str,
    pub error_away: &'static str,
    pub error_away_what: &'static str,
    pub error_anonymous: &'static str,
    pub error_anonymous_what: &'static str,
    pub error_arrival: &'static str,
    pub error_arrival_what: &'static str,
    pub sign_in_at: With,
    pub back_to: With,
    pub try_again: &'static str,

    pub going_back: &'static str,
    pub press_to_go_on: &'static str,
    pub go_on: &'static str,

    pub your_account: &'static str,
    pub sign_in_to_account: &'static str,
    pub sign_in_again: &'static str,
    pub sign_in_other: &'static str,
    pub somebody_else: &'static str,
    pub linked_already: &'static str,
    pub same_upstream: With,
    pub accounts_here: &'static str,
    pub accounts_here_means: &'static str,
    pub switch_to: With,
    pub add_account: &'static str,
    pub logins: &'static str,
    pub login_last_used: &'static str,
    pub link_another: &'static str,
    pub unlink: With,
    pub sessions: &'static str,
    pub session_begun: &'static str,
    pub session_used: &'static str,
    pub session_address: &'static str,
    pub browser_on: WithTwo,
    pub unknown_device: &'static str,
    pub session_here: &'static str,
    pub end_session: &'static str,
    pub end_here: &'static str,
    pub end_all: &'static str,
    pub end_all_means: &'static str,
    pub open_apps: &'static str,
    pub open_app: With,
    pub apps: &'static str,
    pub apps_none: &'static str,
    pub app_since: &'static str,
    pub end_app: With,
    pub link_title: With,
    pub link_means: &'static str,
    pub link_closes: With,
    pub link_yes: &'static str,
    pub unlink_means: With,
    pub unlink_yes: &'static str,
    pub error_closed: &'static str,
    pub error_closed_what: &'static str,
    pub error_link: &'static str,
    pub error_link_what: &'static str,

    pub device_title: &'static str,
    pub device_enter: &'static str,
    pub device_hint: &'static str,
    pub device_unknown: &'static str,
    pub device_too_many: &'static str,
    pub device_confirm_title: With,
    pub device_shows: &'static str,
    pub device_yours: &'static str,
    pub device_allow: &'static str,
    pub device_done: &'static str,
    pub device_done_text: &'static str,
    pub device_denied: &'static str,
    pub device_denied_text: &'static str,
    pub error_device: &'static str,
    pub error_device_what: &'static str,
}

impl Texts {
    /// The texts of a language.
    pub const fn of(locale: Locale) -> &'static Self {
        match locale {
            Locale::English => &en::TEXTS,
            Locale::French => &fr::TEXTS,
            Locale::TraditionalChinese => &zh_hant::TEXTS,
            Locale::SimplifiedChinese => &zh_hans::TEXTS,
        }
    }
}

#[cfg(test)]
mod tests {
    /// No line of French begins with a mark that belongs to the word before it.
    #[test]
    fn french_marks_are_bound_to_their_words() {
        let source = include_str!("fr.rs");
        for line in source.lines().filter(|line| line.contains('"')) {
            for apart in [" ?", " !", " ;", " :", " »", "« "] {
                assert!(!line.contains(apart), "{line}");
            }
        }
    }
}
