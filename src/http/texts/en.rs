//! English.

use super::Texts;

pub(super) const TEXTS: Texts = Texts {
    lang: "en",
    language_name: "English",
    language: "Language",

    sign_in: "Sign in",
    sign_in_to: |app| format!("Sign in to {app}"),
    choose_way: "How do you want to sign in?",
    other_ways: "Other ways to sign in",
    username: "User name",
    password: "Password",
    keep_signed_in: "Keep me signed in (not on a shared computer)",
    continue_to: |way| format!("Continue with {way}"),
    continue_to_by_password: |way| format!("Continue with {way}, by password"),
    signed_in_as: |name| format!("You are signed in as {name}."),
    go_on_as: |name| format!("Continue as {name}"),
    go_on_as_question: |name| format!("Continue as {name}?"),
    use_another_account: "Use another account",
    choose_account: "Choose an account",
    sign_in_again_as: |name| format!("Sign in again as {name}."),

    bad_credentials: "The user name or password is not right, or the account cannot sign in at the moment. Check both and try again; after several tries, wait a quarter of an hour.",
    username_missing: "Enter your user name and your password.",
    password_too_long: "That is longer than a user name or password can be.",
    not_allowed: "You are known, but this account cannot be used to sign in here. Ask your administrator.",
    upstream_unavailable: |way| {
        format!(
            "{way} does not answer at the moment. Nothing is lost: wait a minute and try again."
        )
    },
    away_now: |way| format!("{way} does not answer at the moment. You can try it all the same."),
    other_account_needed: |app, name| {
        format!(
            "You are signed in as {name}, but this account may not use {app}. Sign in with another account, or ask your administrator."
        )
    },
    not_accepted: |way| {
        format!("{way} did not accept this sign-in; it may have taken too long. Please try again.")
    },
    no_answer: |way| format!("{way} sent you back without saying who you are. Please try again."),
    cancelled: "You turned back before you were signed in. Try again, or choose another way.",
    not_signed_in: |way| format!("You are not signed in at {way} yet."),
    several_sign_ins: "Several sign-ins were under way in this browser, and we could not tell which one this was. Please sign in once more.",
    page_too_old: "This page had been open for a long time. Please sign in again.",

    consent_title: |app| format!("{app} asks for your permission"),
    consent_intro: |app| format!("{app} would like to:"),
    consent_resources: "It would do so at:",
    scope_openid: "know that it is you",
    scope_profile: "see your name and user name, and what else is in your profile",
    scope_email: "see your email address",
    scope_address: "see your postal address",
    scope_phone: "see your phone number",
    scope_groups: "see the groups that you belong to",
    scope_membership: "see your membership",
    scope_offline_access: "keep this access when you are not there, until you sign out everywhere",
    scope_upstream: |label| {
        format!("act for you at “{label}”, with everything that you may do there")
    },
    scope_other: |scope| format!("use “{scope}”"),
    claim_name: "see your name",
    claim_other: |claim| format!("see your “{claim}”"),
    allow: "Allow",
    deny: "Do not allow",
    cancel: "Cancel",
    app_logo: |name| format!("The logo of {name}"),
    app_policy: |host| format!("Privacy policy of the app ({host})"),
    app_terms: |host| format!("Terms of the app ({host})"),
    registered_itself_device: "This app registered itself here; nobody has checked who is behind it. What it asks for goes to whoever runs the device that shows this code.",
    registered_itself: |host| {
        format!(
            "This app registered itself here; nobody has checked who is behind it. What it asks for goes to {host}."
        )
    },

    arrived_as: |way, name| format!("{way} says that you are {name}."),
    not_you: "If that is not you, do not go on: close this page.",
    sign_out: "Sign out",
    sign_out_question: |name| format!("You are signed in as {name}. Do you want to sign out here?"),
    sign_out_anyway: "Yes, sign out",
    also_signed_in: "Also signed in in this browser:",
    still_signed_in_here: "Still signed in in this browser:",
    sign_out_all_here: "Sign out of all of these accounts",
    stay_signed_in: "If not, you can close this page.",
    signed_out: "You are signed out",
    signed_out_text: "You can close this page.",
    still_signed_in_at: |way| format!("You may still be signed in at {way}."),
    sign_out_at: |way| format!("Sign out at {way} as well (opens in a new tab)"),
    sign_out_there: "Sign out there as well if others use this device.",

    error_title: "This did not work",
    error_id: |id| format!("Error number {id}"),
    details_for_developer: "For the app’s developer",
    error_request: "The app that sent you here made a mistake in its request, so we cannot go on safely.",
    error_request_what: "Go back to the app and try again. If it happens again, tell whoever runs the app, with the error number below.",
    error_expired: "This sign-in is no longer open in this browser.",
    error_expired_what: "Go back to the app and sign in from there. Cookies have to be allowed for this site.",
    error_done: "This sign-in is finished already",
    error_done_what: "You are signed in. Go back to the app.",
    error_form: "This form was not sent from our page, or the page is too old.",
    error_form_what: "Go back, reload the page, and try again.",
    error_sign_out: "This request to sign out is too old.",
    error_sign_out_what: "It has signed nobody out. If you still want to sign out, you can do it here.",
    error_server: "Something went wrong on our side.",
    error_server_what: "Wait a minute and try again. If it happens again, tell your administrator the error number below.",
    error_not_found: "There is no such page.",
    error_not_found_what: "Check the address, or go back to the app you came from.",
    error_away: "We cannot tell which sign-in you came back from.",
    error_away_what: "Go back to the app and sign in once more.",
    error_anonymous: "You are not signed in where you come from.",
    error_arrival: "That sign-in was not accepted.",
    error_arrival_what: "It may have taken too long. Go back to the page you come from, and try once more.",
    error_anonymous_what: "Sign in there, then come back the same way.",
    sign_in_at: |way| format!("Sign in at {way}"),
    back_to: |app| format!("Back to {app}"),
    try_again: "Try again",

    going_back: "Going back to the app",
    press_to_go_on: "Press the button if nothing happens.",
    go_on: "Continue",

    your_account: "Your account",
    sign_in_to_account: "Sign in to your account",
    sign_in_again: "Sign in again to go on",
    sign_in_other: "Now sign in with the login that you want to add",
    somebody_else: "You signed in as somebody else than the person this page is for. Sign in as that person, or go to your account.",
    linked_already: "That login belongs to your account already.",
    same_upstream: |way| {
        format!(
            "Your account has a login of {way} already. If two of them are yours, ask your administrator to link them."
        )
    },
    accounts_here: "Accounts in this browser",
    accounts_here_means: "You can be signed in with several accounts at the same time, and change from one to another here.",
    switch_to: |name| format!("Switch to {name}"),
    add_account: "Add another account",
    logins: "Your logins",
    login_last_used: "last used:",
    link_another: "Add another login",
    unlink: |way| format!("Remove {way} from your account"),
    sessions: "Where you are signed in",
    session_begun: "signed in:",
    session_used: "last used:",
    session_address: "address:",
    browser_on: |browser, system| format!("{browser} on {system}"),
    unknown_device: "A browser or an app that we do not know",
    session_here: "this browser",
    end_session: "Sign out there",
    end_here: "Sign out here",
    end_all: "Sign out everywhere",
    end_all_means: "Ends every session in every browser, and the access of every app.",
    open_apps: "Your apps",
    open_app: |name| format!("Open {name}"),
    apps: "Apps that may act for you",
    apps_none: "None at the moment.",
    app_since: "since:",
    end_app: |app| format!("End the access of {app}"),
    link_title: |way| format!("Add {way} to your account?"),
    link_means: "From now on you can sign in to the same account with either. If one of the two is not you, do not go on: close this page.",
    link_closes: |name| {
        format!(
            "The account that {name} has had here is closed, and signed out everywhere. Apps that know it ask you to sign in again, and then see the account that you keep. This cannot be undone."
        )
    },
    link_yes: "Yes, both are me",
    unlink_means: |way| {
        format!(
            "{way} then leads to a new account of its own. Whatever was signed in with it is signed out."
        )
    },
    unlink_yes: "Yes, remove it",
    error_closed: "You are known, but this account cannot be used to sign in here.",
    error_closed_what: "Ask your administrator, with the error number below.",
    error_link: "Nothing was changed: these logins cannot be joined or separated.",
    error_link_what: "Something has changed meanwhile, or it is the last login of the account. Go to your account and look.",

    device_title: "Connect a device",
    device_enter: "Enter the code that your device shows",
    device_hint: "Eight letters, such as BCDF-GHJK.",
    device_unknown: "No device waits with this code. Compare it with your device; if it is some minutes old, have the device show a new one.",
    device_too_many: "Too many codes were tried. Wait a quarter of an hour, have your device show a new code, and try again.",
    device_confirm_title: |app| format!("Let a device into your account with {app}?"),
    device_shows: "The device has to show this code at this moment:",
    device_yours: "Say yes only if you started this yourself, on a device that you have before you. If somebody sent you the code or the link, or asks you for it, do not allow it: they would get into your account.",
    device_allow: "Yes, it is my device and shows this code",
    device_done: "Go back to your device",
    device_done_text: "It goes on by itself within a few seconds.",
    device_denied: "The device was not let in",
    device_denied_text: "It got nothing. If you did not start this yourself, somebody may have wanted to get into your account; you need not do anything.",
    error_device: "This code is not good any more: it has expired, or was used already.",
    error_device_what: "Have your device show a new code, and begin again.",
};
