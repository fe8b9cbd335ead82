//! French.

use super::Texts;

pub(super) const TEXTS: Texts = Texts {
    lang: "fr",
    language_name: "Français",
    language: "Langue",

    sign_in: "Se connecter",
    sign_in_to: |app| format!("Se connecter à {app}"),
    choose_way: "Comment voulez-vous vous connecter ?",
    other_ways: "Autres façons de se connecter",
    username: "Nom d’utilisateur",
    password: "Mot de passe",
    keep_signed_in: "Rester connecté (pas sur un ordinateur partagé)",
    continue_to: |way| format!("Continuer avec {way}"),
    continue_to_by_password: |way| format!("Continuer avec {way}, par mot de passe"),
    signed_in_as: |name| format!("Vous êtes connecté en tant que {name}."),
    go_on_as: |name| format!("Continuer en tant que {name}"),
    go_on_as_question: |name| format!("Continuer en tant que {name}\u{202f}?"),
    use_another_account: "Utiliser un autre compte",
    choose_account: "Choisissez un compte",
    sign_in_again_as: |name| format!("Connectez-vous à nouveau en tant que {name}."),

    bad_credentials: "Le nom d’utilisateur ou le mot de passe est incorrect, ou le compte ne peut pas se connecter pour le moment. Vérifiez les deux et réessayez ; après plusieurs essais, attendez un quart d’heure.",
    username_missing: "Saisissez votre nom d’utilisateur et votre mot de passe.",
    password_too_long: "C’est plus long qu’un nom d’utilisateur ou un mot de passe ne peut l’être.",
    not_allowed: "Nous vous connaissons, mais ce compte ne permet pas de se connecter ici. Adressez-vous à votre administrateur.",
    upstream_unavailable: |way| {
        format!(
            "{way} ne répond pas pour le moment. Rien n’est perdu : attendez une minute et réessayez."
        )
    },
    away_now: |way| {
        format!("{way} ne répond pas pour le moment. Vous pouvez tout de même essayer.")
    },
    other_account_needed: |app, name| {
        format!(
            "Vous êtes connecté en tant que {name}, mais ce compte ne peut pas utiliser {app}. Connectez-vous avec un autre compte, ou adressez-vous à votre administrateur."
        )
    },
    not_accepted: |way| {
        format!(
            "{way} n’a pas accepté cette connexion ; elle a peut-être duré trop longtemps. Veuillez réessayer."
        )
    },
    no_answer: |way| format!("{way} vous a renvoyé sans dire qui vous êtes. Veuillez réessayer."),
    cancelled: "Vous êtes revenu avant la fin de la connexion. Réessayez ou choisissez une autre façon.",
    not_signed_in: |way| format!("Vous n’êtes pas encore connecté à {way}."),
    several_sign_ins: "Plusieurs connexions étaient en cours dans ce navigateur, et nous n’avons pas pu savoir laquelle c’était. Veuillez vous connecter encore une fois.",
    page_too_old: "Cette page était ouverte depuis longtemps. Veuillez vous reconnecter.",

    consent_title: |app| format!("{app} demande votre autorisation"),
    consent_intro: |app| format!("{app} souhaite :"),
    consent_resources: "Auprès de :",
    scope_openid: "savoir que c’est vous",
    scope_profile: "voir votre nom et votre nom d’utilisateur, et le reste de votre profil",
    scope_email: "voir votre adresse électronique",
    scope_address: "voir votre adresse postale",
    scope_phone: "voir votre numéro de téléphone",
    scope_groups: "voir les groupes dont vous faites partie",
    scope_membership: "voir votre adhésion",
    scope_offline_access: "garder cet accès en votre absence, jusqu’à ce que vous vous déconnectiez partout",
    scope_upstream: |label| {
        format!("agir en votre nom auprès de « {label} », avec tout ce que vous pouvez y faire")
    },
    scope_other: |scope| format!("utiliser « {scope} »"),
    claim_name: "voir votre nom",
    claim_other: |claim| format!("voir votre « {claim} »"),
    allow: "Autoriser",
    deny: "Ne pas autoriser",
    cancel: "Annuler",
    app_logo: |name| format!("Le logo de {name}"),
    app_policy: |host| format!("Politique de confidentialité de l’application ({host})"),
    app_terms: |host| format!("Conditions d’utilisation de l’application ({host})"),
    registered_itself_device: "Cette application s’est inscrite elle-même ; personne n’a vérifié qui se trouve derrière. Ce qu’elle demande est envoyé à la personne qui utilise l’appareil affichant ce code.",
    registered_itself: |host| {
        format!(
            "Cette application s’est inscrite elle-même ; personne n’a vérifié qui se trouve derrière. Ce qu’elle demande est envoyé à {host}."
        )
    },

    arrived_as: |way, name| format!("{way} indique que vous êtes {name}."),
    not_you: "Si ce n’est pas vous, ne continuez pas : fermez cette page.",
    sign_out: "Se déconnecter",
    sign_out_question: |name| {
        format!("Vous êtes connecté en tant que {name}. Voulez-vous vous déconnecter ici ?")
    },
    sign_out_anyway: "Oui, me déconnecter",
    also_signed_in: "Comptes également connectés dans ce navigateur :",
    still_signed_in_here: "Comptes encore connectés dans ce navigateur :",
    sign_out_all_here: "Déconnecter tous ces comptes",
    stay_signed_in: "Sinon, vous pouvez fermer cette page.",
    signed_out: "Vous êtes déconnecté",
    signed_out_text: "Vous pouvez fermer cette page.",
    still_signed_in_at: |way| format!("Vous êtes peut-être encore connecté à {way}."),
    sign_out_at: |way| format!("Se déconnecter aussi de {way} (s’ouvre dans un nouvel onglet)"),
    sign_out_there: "Si d’autres personnes utilisent cet appareil, déconnectez-vous aussi là-bas.",

    error_title: "Cela n’a pas fonctionné",
    error_id: |id| format!("Numéro d’erreur {id}"),
    details_for_developer: "Pour le développeur de l’application",
    error_request: "L’application qui vous a envoyé ici a fait une erreur dans sa demande ; nous ne pouvons pas continuer en sécurité.",
    error_request_what: "Revenez à l’application et réessayez. Si cela se reproduit, signalez-le à ses responsables avec le numéro d’erreur ci-dessous.",
    error_expired: "Cette connexion n’est plus ouverte dans ce navigateur.",
    error_expired_what: "Revenez à l’application et connectez-vous depuis celle-ci. Les cookies doivent être autorisés pour ce site.",
    error_done: "Cette connexion est déjà terminée",
    error_done_what: "Vous êtes connecté. Revenez à l’application.",
    error_form: "Ce formulaire n’a pas été envoyé depuis notre page, ou la page est trop ancienne.",
    error_form_what: "Revenez en arrière, rechargez la page et réessayez.",
    error_sign_out: "Cette demande de déconnexion est trop ancienne.",
    error_sign_out_what: "Elle n’a déconnecté personne. Si vous voulez toujours vous déconnecter, vous pouvez le faire ici.",
    error_server: "Une erreur s’est produite de notre côté.",
    error_server_what: "Attendez une minute et réessayez. Si cela se reproduit, donnez à votre administrateur le numéro d’erreur ci-dessous.",
    error_not_found: "Cette page n’existe pas.",
    error_not_found_what: "Vérifiez l’adresse ou revenez à l’application d’où vous venez.",
    error_away: "Nous ne savons pas de quelle connexion vous revenez.",
    error_away_what: "Revenez à l’application et connectez-vous encore une fois.",
    error_anonymous: "Vous n’êtes pas connecté là d’où vous venez.",
    error_arrival: "Cette connexion n’a pas été acceptée.",
    error_arrival_what: "Elle a peut-être duré trop longtemps. Revenez à la page d’où vous venez et réessayez.",
    error_anonymous_what: "Connectez-vous là-bas, puis revenez par le même chemin.",
    sign_in_at: |way| format!("Se connecter à {way}"),
    back_to: |app| format!("Retour à {app}"),
    try_again: "Réessayer",

    going_back: "Retour à l’application",
    press_to_go_on: "Appuyez sur le bouton si rien ne se passe.",
    go_on: "Continuer",

    your_account: "Votre compte",
    sign_in_to_account: "Connexion à votre compte",
    sign_in_again: "Connectez-vous à nouveau pour continuer",
    sign_in_other: "Connectez-vous maintenant avec l’identifiant à ajouter",
    somebody_else: "Vous vous êtes connecté sous une autre identité que celle à laquelle cette page est destinée. Connectez-vous sous celle-ci, ou allez à votre compte.",
    linked_already: "Cet identifiant fait déjà partie de votre compte.",
    same_upstream: |way| {
        format!(
            "Votre compte a déjà un identifiant de {way}. Si les deux sont à vous, demandez à votre administrateur de les réunir."
        )
    },
    accounts_here: "Comptes de ce navigateur",
    accounts_here_means: "Vous pouvez être connecté à plusieurs comptes à la fois, et passer ici de l’un à l’autre.",
    switch_to: |name| format!("Passer à {name}"),
    add_account: "Ajouter un autre compte",
    logins: "Vos identifiants",
    login_last_used: "dernière utilisation :",
    link_another: "Ajouter un identifiant",
    unlink: |way| format!("Retirer {way} de votre compte"),
    sessions: "Vos connexions en cours",
    session_begun: "connexion :",
    session_used: "dernière utilisation :",
    session_address: "adresse :",
    browser_on: |browser, system| format!("{browser} sur {system}"),
    unknown_device: "Un navigateur ou une application que nous ne connaissons pas",
    session_here: "ce navigateur",
    end_session: "Y mettre fin",
    end_here: "Se déconnecter ici",
    end_all: "Se déconnecter partout",
    end_all_means: "Met fin à toutes les connexions dans tous les navigateurs, et à l’accès de toutes les applications.",
    open_apps: "Vos applications",
    open_app: |name| format!("Ouvrir {name}"),
    apps: "Applications qui peuvent agir pour vous",
    apps_none: "Aucune pour le moment.",
    app_since: "depuis :",
    end_app: |app| format!("Mettre fin à l’accès de {app}"),
    link_title: |way| format!("Ajouter {way} à votre compte ?"),
    link_means: "Vous pourrez ensuite accéder au même compte avec l’un ou l’autre. Si l’un des deux n’est pas vous, n’allez pas plus loin : fermez cette page.",
    link_closes: |name| {
        format!(
            "Le compte que {name} avait ici sera fermé et déconnecté partout. Les applications qui le connaissent vous demanderont de vous connecter à nouveau, et verront alors le compte que vous gardez. C’est irréversible."
        )
    },
    link_yes: "Oui, les deux sont moi",
    unlink_means: |way| {
        format!(
            "{way} mènera alors à un nouveau compte distinct. Tout ce qui a été ouvert avec cet identifiant sera déconnecté."
        )
    },
    unlink_yes: "Oui, le retirer",
    error_closed: "Nous vous connaissons, mais ce compte ne peut pas être utilisé pour se connecter ici.",
    error_closed_what: "Adressez-vous à votre administrateur, avec le numéro d’erreur ci-dessous.",
    error_link: "Rien n’a été modifié : ces identifiants ne peuvent pas être réunis ou séparés.",
    error_link_what: "Quelque chose a changé entre-temps, ou il s’agit du dernier identifiant du compte. Allez à votre compte pour vérifier.",

    device_title: "Connecter un appareil",
    device_enter: "Saisissez le code affiché par votre appareil",
    device_hint: "Huit lettres, par exemple BCDF-GHJK.",
    device_unknown: "Aucun appareil n’attend avec ce code. Comparez-le avec votre appareil ; s’il date de plusieurs minutes, faites-en afficher un nouveau.",
    device_too_many: "Trop de codes ont été essayés. Attendez un quart d’heure, faites afficher un nouveau code par votre appareil et réessayez.",
    device_confirm_title: |app| format!("Donner à un appareil l’accès à votre compte avec {app} ?"),
    device_shows: "L’appareil doit afficher ce code en ce moment :",
    device_yours: "N’acceptez que si vous avez commencé ceci vous-même, sur un appareil qui est devant vous. Si quelqu’un vous a envoyé le code ou le lien, ou vous le demande, n’autorisez pas : cette personne entrerait dans votre compte.",
    device_allow: "Oui, c’est mon appareil et il affiche ce code",
    device_done: "Revenez à votre appareil",
    device_done_text: "Il continuera de lui-même dans quelques secondes.",
    device_denied: "L’appareil n’a pas obtenu l’accès",
    device_denied_text: "Il n’a rien reçu. Si vous n’avez pas commencé ceci vous-même, quelqu’un a peut-être voulu entrer dans votre compte ; vous n’avez rien à faire.",
    error_device: "Ce code n’est plus valable : il a expiré ou a déjà été utilisé.",
    error_device_what: "Faites afficher un nouveau code par votre appareil et recommencez.",
};
