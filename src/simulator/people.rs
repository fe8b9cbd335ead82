//! Who is known to the simulators at their start. Everybody and everything here is invented; the
//! passwords are words that no real system would take for secrets. A running simulator changes its
//! own copies (`Imis::change`, `Aim18::change`).

use std::collections::BTreeSet;
use std::sync::{Mutex, PoisonError};

/// A value that is kept once, for as long as the process runs.
struct Kept<T: ?Sized + 'static>(Mutex<BTreeSet<&'static T>>);

impl<T: Ord + ?Sized> Kept<T> {
    const fn new() -> Self {
        Self(Mutex::new(BTreeSet::new()))
    }

    fn keep(&self, value: &T, own: impl FnOnce() -> Box<T>) -> &'static T {
        let mut kept = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(known) = kept.get(value) {
            return known;
        }
        let value: &'static T = Box::leak(own());
        kept.insert(value);
        value
    }
}

/// A text that a running simulator was told, so that people stay plain constants that are copied around. Each text is kept once, for
/// as long as the process runs, and callers bound its length.
pub fn keep(text: &str) -> &'static str {
    static KEPT: Kept<str> = Kept::new();
    KEPT.keep(text, || text.into())
}

/// The same for a list of names.
pub fn keep_list(names: &[&str]) -> &'static [&'static str] {
    static KEPT: Kept<[&'static str]> = Kept::new();
    let names: Vec<&'static str> = names.iter().map(|name| keep(name)).collect();
    KEPT.keep(&names, || names.clone().into())
}

/// The same for a list of numbers.
pub fn keep_numbers(numbers: &[i64]) -> &'static [i64] {
    static KEPT: Kept<[i64]> = Kept::new();
    KEPT.keep(numbers, || numbers.into())
}

/// The same for a list of groups.
pub fn keep_groups(groups: &[Group]) -> &'static [Group] {
    static KEPT: Kept<[Group]> = Kept::new();
    KEPT.keep(groups, || groups.into())
}

/// What iMIS thinks of an account.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum AccountState {
    /// May log in.
    Active,
    /// Too many wrong passwords.
    Locked,
    /// Switched off by staff.
    Disabled,
    /// The login's expiry date has passed.
    LoginExpired,
    /// The password must be changed first.
    PasswordExpired,
    /// A staff user who is asked for a second factor on the web.
    MultiFactor,
    /// A user of the OpenID Connect module, who has no iMIS password any more.
    OidcOnly,
}

/// A membership in a group or committee.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Group {
    /// `GroupId`.
    pub id: &'static str,
    /// The name.
    pub name: &'static str,
    /// The role in the group: `Member`, `Chair`.
    pub role: &'static str,
    /// The day from which it counts, without a zone.
    pub effective: &'static str,
    /// The day until which it counts; empty when there is none.
    pub expiration: &'static str,
}

/// A person (or service account) of the simulated iMIS.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ImisPerson {
    /// The login name; matched in any letter case.
    pub username: &'static str,
    /// The password.
    pub password: &'static str,
    /// The iMIS id: `PartyId` and `UserId`. Empty for the guest, who has no record.
    pub id: &'static str,
    /// The GUID that survives renames.
    pub uniform_id: &'static str,
    /// First name.
    pub given_name: &'static str,
    /// Last name.
    pub family_name: &'static str,
    /// Primary email; empty when there is none.
    pub email: &'static str,
    /// `CustomerTypeCode` and `CustomerTypeDescription`.
    pub customer_type: (&'static str, &'static str),
    /// Whether the membership is current.
    pub is_member: bool,
    /// `PartyStatusId`: `A` active, `I` inactive, `D` deceased.
    pub status: &'static str,
    /// The day of joining, without a zone; empty when there is none.
    pub join_date: &'static str,
    /// The day to which the membership is paid, without a zone; empty when there is none.
    pub paid_through: &'static str,
    /// Where they can be reached besides.
    pub contact: &'static Contact,
    /// Role names. `RemoteService` and `SysAdmin` may read everybody.
    pub roles: &'static [&'static str],
    /// Groups and committees.
    pub groups: &'static [Group],
    /// What is special about the person.
    pub about: &'static str,
    /// Whether the record waits to be purged, as one merged into another does.
    pub marked_for_delete: bool,
    /// Whether the record is an organization's, which may have a login like anybody.
    pub is_organization: bool,
    /// Whether the account may log in.
    pub state: AccountState,
}

/// Where a person at iMIS can be reached.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Contact {
    /// Phone numbers: number, `PhoneType`, and whether it is the primary one.
    pub phones: &'static [(&'static str, &'static str, bool)],
    /// Addresses.
    pub addresses: &'static [PostalAddress],
}

/// An address of a person at iMIS.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct PostalAddress {
    /// `AddressPurpose`.
    pub purpose: &'static str,
    /// The lines above the city.
    pub lines: &'static [&'static str],
    /// `CityName`.
    pub city: &'static str,
    /// `CountrySubEntityCode` and `CountrySubEntityName`.
    pub region: (&'static str, &'static str),
    /// `PostalCode`.
    pub postal_code: &'static str,
    /// `CountryCode` and `CountryName`.
    pub country: (&'static str, &'static str),
    /// What the address is preferred for: `Mail`, `Bill`, `Ship`.
    pub preferred_for: &'static [&'static str],
}

impl ImisPerson {
    /// The given and the family name.
    pub fn full_name(&self) -> String {
        format!("{} {}", self.given_name, self.family_name)
            .trim()
            .to_owned()
    }

    /// Whether the account reads other people's records: staff and service accounts.
    pub fn reads_everybody(&self) -> bool {
        self.has_role("RemoteService") || self.has_role("SysAdmin")
    }

    /// Whether it has a role; names are compared in any letter case.
    pub fn has_role(&self, role: &str) -> bool {
        self.roles.iter().any(|own| own.eq_ignore_ascii_case(role))
    }

    /// Whether this is the anonymous visitor of the web site.
    pub fn is_guest(&self) -> bool {
        self.id.is_empty()
    }
}

/// What members have in common; each says the rest.
const MEMBER: ImisPerson = ImisPerson {
    username: "",
    password: "",
    id: "",
    uniform_id: "",
    given_name: "",
    family_name: "",
    email: "",
    customer_type: ("M", "Member"),
    is_member: true,
    status: "A",
    join_date: "2019-05-01T00:00:00",
    paid_through: "2027-12-31T00:00:00",
    contact: &Contact {
        phones: &[],
        addresses: &[],
    },
    roles: &[],
    groups: &[],
    about: "",
    marked_for_delete: false,
    is_organization: false,
    state: AccountState::Active,
};

/// What staff and service accounts have in common.
const STAFF: ImisPerson = ImisPerson {
    customer_type: ("STAFF", "Staff"),
    is_member: false,
    join_date: "",
    paid_through: "",
    ..MEMBER
};

/// The member to log in with.
pub const JO_SMITH: ImisPerson = ImisPerson {
    about: "The member to log in with.",
    username: "JSMITH",
    password: "member-demo-1",
    id: "20457",
    uniform_id: "8d0f3a52-1111-4222-8333-9c0000000001",
    given_name: "Jo",
    family_name: "Smith",
    email: "j.smith@example.org",
    contact: &Contact {
        // Those to use come last, so that nobody takes the first one for it.
        phones: &[
            ("+1 613 555 0100", "Work", false),
            ("+1 613 555 0142", "Mobile", true),
        ],
        addresses: &[
            PostalAddress {
                purpose: "Work",
                lines: &["Example Clinic", "1 Main Street"],
                city: "Ottawa",
                region: ("ON", "Ontario"),
                postal_code: "K1A 0A1",
                country: ("CA", "Canada"),
                preferred_for: &[],
            },
            PostalAddress {
                purpose: "Home",
                lines: &["12 Fiction Lane"],
                city: "Gatineau",
                region: ("QC", "Quebec"),
                postal_code: "J8X 0A1",
                country: ("CA", "Canada"),
                preferred_for: &["Mail", "Bill"],
            },
        ],
    },
    ..MEMBER
};

/// A member whose username and password break every client that forgets to encode.
pub const ZOE: ImisPerson = ImisPerson {
    about: "A member whose username and password break every client that forgets to encode.",
    username: "Zoë O'Brien+Søn & Co",
    password: "member demo 2 +&='%ü",
    id: "20458",
    uniform_id: "8d0f3a52-1111-4222-8333-9c0000000002",
    given_name: "Zoë",
    family_name: "O'Brien-Søndergård",
    email: "zoe@example.org",
    ..MEMBER
};

/// A contact of whom little is known: no email, one name, no current membership.
pub const MONO: ImisPerson = ImisPerson {
    about: "A contact of whom little is known: no email, one name, no current membership.",
    username: "MONO",
    password: "member-demo-3",
    id: "20459",
    uniform_id: "8d0f3a52-1111-4222-8333-9c0000000003",
    family_name: "Mono",
    customer_type: ("NM", "Non-member"),
    is_member: false,
    join_date: "",
    paid_through: "",
    ..MEMBER
};

/// A member whose membership ended: the login works.
pub const LAPSED: ImisPerson = ImisPerson {
    about: "A member whose membership ended: the login works.",
    username: "LLAPSE",
    password: "member-demo-4",
    id: "20460",
    uniform_id: "8d0f3a52-1111-4222-8333-9c0000000004",
    given_name: "Lara",
    family_name: "Lapse",
    email: "l.lapse@example.org",
    is_member: false,
    status: "I",
    paid_through: "2024-12-31T00:00:00",
    ..MEMBER
};

/// A member with roles, who sits on committees; one term has ended.
pub const CHAIR: ImisPerson = ImisPerson {
    about: "A member with roles, who sits on committees; one term has ended.",
    username: "CCHAIR",
    password: "member-demo-5",
    id: "20466",
    uniform_id: "8d0f3a52-1111-4222-8333-9c0000000005",
    given_name: "Cam",
    family_name: "Chair",
    email: "c.chair@example.org",
    customer_type: ("FEL", "Fellow"),
    join_date: "2008-02-29T00:00:00",
    roles: &["Everyone", "BoardMember", "Content Editor"],
    groups: &[
        Group {
            id: "COM-EDU",
            name: "Education Committee",
            role: "Chair",
            effective: "2024-01-01T00:00:00",
            expiration: "",
        },
        Group {
            id: "SEC-NORTH",
            name: "Northern Section",
            role: "Member",
            effective: "2008-02-29T00:00:00",
            expiration: "2027-12-31T00:00:00",
        },
        Group {
            id: "COM-FIN",
            name: "Finance & Audit Committee",
            role: "Treasurer",
            effective: "2020-01-01T00:00:00",
            expiration: "2022-12-31T00:00:00",
        },
    ],
    ..MEMBER
};

/// Somebody whose record was merged into another and waits to be purged; the login still works.
pub const MERGED: ImisPerson = ImisPerson {
    about: "Somebody whose record was merged into another and waits to be purged; the login still works.",
    username: "MMERGE",
    password: "member-demo-6",
    id: "20467",
    uniform_id: "8d0f3a52-1111-4222-8333-9c0000000006",
    given_name: "Mo",
    family_name: "Merge",
    email: "m.merge@example.org",
    marked_for_delete: true,
    ..MEMBER
};

/// An organization with a login of its own, as companies have that are members.
pub const ORGANIZATION: ImisPerson = ImisPerson {
    about: "An organization with a login of its own, as companies have that are members.",
    username: "CLINIC",
    password: "member-demo-7",
    id: "30011",
    uniform_id: "8d0f3a52-1111-4222-8333-9c0000000007",
    given_name: "",
    family_name: "Example Clinic",
    email: "office@clinic.example.org",
    customer_type: ("CO", "Company"),
    is_organization: true,
    ..MEMBER
};

/// Locked after too many wrong passwords.
pub const LOCKED: ImisPerson = ImisPerson {
    about: "Locked after too many wrong passwords.",
    username: "LLOCKE",
    password: "member-demo-locked",
    id: "20461",
    uniform_id: "8d0f3a52-1111-4222-8333-9c0000000011",
    given_name: "Lee",
    family_name: "Locke",
    email: "l.locke@example.org",
    state: AccountState::Locked,
    ..MEMBER
};

/// Switched off by staff.
pub const DISABLED: ImisPerson = ImisPerson {
    about: "Switched off by staff.",
    username: "DDOWN",
    password: "member-demo-disabled",
    id: "20462",
    uniform_id: "8d0f3a52-1111-4222-8333-9c0000000012",
    given_name: "Dee",
    family_name: "Down",
    email: "d.down@example.org",
    state: AccountState::Disabled,
    ..MEMBER
};

/// The login's expiry date has passed.
pub const LOGIN_EXPIRED: ImisPerson = ImisPerson {
    about: "The login's expiry date has passed.",
    username: "ELATE",
    password: "member-demo-lapsed",
    id: "20463",
    uniform_id: "8d0f3a52-1111-4222-8333-9c0000000013",
    given_name: "Eli",
    family_name: "Late",
    email: "e.late@example.org",
    is_member: false,
    state: AccountState::LoginExpired,
    ..MEMBER
};

/// The password must be changed first.
pub const PASSWORD_EXPIRED: ImisPerson = ImisPerson {
    about: "The password must be changed first.",
    username: "PSTALE",
    password: "member-demo-stale",
    id: "20464",
    uniform_id: "8d0f3a52-1111-4222-8333-9c0000000014",
    given_name: "Pat",
    family_name: "Stale",
    email: "p.stale@example.org",
    state: AccountState::PasswordExpired,
    ..MEMBER
};

/// A member who logs in at the organization's own OpenID provider only.
pub const OIDC_ONLY: ImisPerson = ImisPerson {
    about: "A member who logs in at the organization's own OpenID provider only.",
    username: "OFAR",
    password: "member-demo-oidc",
    id: "20465",
    uniform_id: "8d0f3a52-1111-4222-8333-9c0000000015",
    given_name: "Ola",
    family_name: "Far",
    email: "o.far@example.org",
    state: AccountState::OidcOnly,
    ..MEMBER
};

/// One of the staff, without a second factor.
pub const ADMIN: ImisPerson = ImisPerson {
    about: "One of the staff, without a second factor.",
    username: "MGARCIA",
    password: "staff-imis-demo-1",
    id: "101",
    uniform_id: "8d0f3a52-1111-4222-8333-9c0000000021",
    given_name: "María",
    family_name: "García",
    email: "m.garcia@example.org",
    roles: &["SysAdmin", "Everyone"],
    ..STAFF
};

/// One of the staff, with a second factor.
pub const MULTI_FACTOR: ImisPerson = ImisPerson {
    about: "One of the staff, with a second factor.",
    username: "TTOTP",
    password: "staff-imis-demo-2",
    id: "102",
    uniform_id: "8d0f3a52-1111-4222-8333-9c0000000022",
    given_name: "Tom",
    family_name: "Totp",
    email: "t.totp@example.org",
    roles: &["SysAdmin", "Everyone"],
    state: AccountState::MultiFactor,
    ..STAFF
};

/// The service account that reads profiles.
pub const SERVICE: ImisPerson = ImisPerson {
    about: "The service account that reads profiles.",
    username: "PORTICO.SVC",
    password: "service-demo-1",
    id: "900",
    uniform_id: "8d0f3a52-1111-4222-8333-9c0000000031",
    given_name: "Portico",
    family_name: "Service",
    email: "",
    roles: &["RemoteService"],
    ..STAFF
};

/// An account for programs that nobody gave the role `RemoteService`: it reads itself and nobody else.
pub const NO_ROLE: ImisPerson = ImisPerson {
    about: "An account for programs that nobody gave the role RemoteService: it reads itself and nobody else.",
    username: "NOROLE.SVC",
    password: "service-demo-no-role",
    id: "901",
    uniform_id: "8d0f3a52-1111-4222-8333-9c0000000032",
    given_name: "Norole",
    family_name: "Service",
    email: "",
    roles: &["Everyone"],
    ..STAFF
};

/// The anonymous visitor: gets tokens like anybody, and has no record. Nobody may be logged in as this.
pub const GUEST: ImisPerson = ImisPerson {
    about: "The anonymous visitor: gets tokens like anybody, and has no record. Nobody may be logged in as this.",
    username: "GUEST",
    password: "guest-demo-1",
    customer_type: ("", ""),
    is_member: false,
    join_date: "",
    paid_through: "",
    ..MEMBER
};

/// Everybody in the simulated iMIS.
pub const IMIS: [ImisPerson; 17] = [
    ADMIN,
    MULTI_FACTOR,
    SERVICE,
    NO_ROLE,
    JO_SMITH,
    ZOE,
    MONO,
    LAPSED,
    CHAIR,
    MERGED,
    ORGANIZATION,
    LOCKED,
    DISABLED,
    LOGIN_EXPIRED,
    PASSWORD_EXPIRED,
    OIDC_ONLY,
    GUEST,
];

/// A user of the simulated aiM18.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Aim18Person {
    /// The login name.
    pub code: &'static str,
    /// The password (sent as SHA-1 by the password grant).
    pub password: &'static str,
    /// The numeric id, a 64-bit number.
    pub uid: i64,
    /// The name in English.
    pub desc_en: &'static str,
    /// The name in traditional Chinese; empty when there is none.
    pub desc_zh_tw: &'static str,
    /// The name in simplified Chinese; empty when there is none.
    pub desc_zh_cn: &'static str,
    /// The email; empty when there is none.
    pub email: &'static str,
    /// The business entities that the user works for; the first is the own one.
    pub be_ids: &'static [i64],
    /// The language: `en`, `zh-TW`, `zh-CN`.
    pub language: &'static str,
    /// The modules on which the user has rights, for calls that have them checked.
    pub modules: &'static [&'static str],
    /// What is special about the user.
    pub about: &'static str,
    /// Whether the user may log in.
    pub enabled: bool,
    /// Whether too many wrong passwords were typed.
    pub locked: bool,
}

impl Aim18Person {
    /// Whether the user may log in now.
    pub fn may_log_in(&self) -> bool {
        self.enabled && !self.locked
    }

    /// The name in the user's own language, or else in one that there is.
    pub fn desc(&self) -> &'static str {
        let own = match self.language {
            "zh-TW" => self.desc_zh_tw,
            "zh-CN" => self.desc_zh_cn,
            _ => self.desc_en,
        };
        let all = [own, self.desc_en, self.desc_zh_tw, self.desc_zh_cn];
        all.into_iter()
            .find(|name| !name.is_empty())
            .unwrap_or_default()
    }
}

/// What users of aiM18 have in common; each says the rest.
const USER: Aim18Person = Aim18Person {
    code: "",
    password: "",
    uid: 0,
    desc_en: "",
    desc_zh_tw: "",
    desc_zh_cn: "",
    email: "",
    be_ids: &[12],
    language: "en",
    modules: &["cus", "staff"],
    about: "",
    enabled: true,
    locked: false,
};

/// The employee to log in with.
pub const ANN_LEE: Aim18Person = Aim18Person {
    about: "The employee to log in with.",
    code: "ann.lee",
    password: "staff-demo-1",
    uid: 1042,
    desc_en: "Ann Lee",
    desc_zh_tw: "李安",
    desc_zh_cn: "李安",
    email: "ann.lee@example.com",
    be_ids: &[12, 15],
    ..USER
};

/// A user with a Chinese name only, a login name with a space, and a password that is not ASCII.
pub const CHAN_TAI_MAN: Aim18Person = Aim18Person {
    about: "A user with a Chinese name only, a login name with a space, and a password that is not ASCII.",
    code: "陳 大文",
    password: "staff-demo-2-密碼",
    uid: 1043,
    desc_zh_tw: "陳大文",
    desc_zh_cn: "陈大文",
    email: "taiman.chan@example.com",
    be_ids: &[15],
    language: "zh-TW",
    modules: &["cus"],
    ..USER
};

/// Switched off.
pub const LEFT: Aim18Person = Aim18Person {
    about: "Switched off.",
    code: "les.left",
    password: "staff-demo-3",
    uid: 1044,
    desc_en: "Les Left",
    email: "les.left@example.com",
    enabled: false,
    ..USER
};

/// A uid that a JavaScript number cannot hold (2^53 + 1), and no email.
pub const BIG: Aim18Person = Aim18Person {
    about: "A uid that a JavaScript number cannot hold (2^53 + 1), and no email.",
    code: "bo.long",
    password: "staff-demo-4",
    uid: 9_007_199_254_740_993,
    desc_en: "Bo Long",
    modules: &[],
    ..USER
};

/// Locked after too many wrong passwords.
pub const AIM18_LOCKED: Aim18Person = Aim18Person {
    about: "Locked after too many wrong passwords.",
    code: "lou.locked",
    password: "staff-demo-5",
    uid: 1045,
    desc_en: "Lou Locked",
    email: "lou.locked@example.com",
    locked: true,
    ..USER
};

/// The service account that reads profiles.
pub const AIM18_SERVICE: Aim18Person = Aim18Person {
    about: "The service account that reads profiles.",
    code: "portico.svc",
    password: "service-demo-2",
    uid: 9001,
    desc_en: "Portico service",
    be_ids: &[12, 15],
    modules: &["user", "cus", "staff"],
    ..USER
};

/// An account for programs without rights on the module of the users: it reads no record there, not its own either.
pub const AIM18_NO_RIGHTS: Aim18Person = Aim18Person {
    about: "An account for programs without rights on the module of the users: it reads no record there, not its own either.",
    code: "norights.svc",
    password: "service-demo-no-rights",
    uid: 9002,
    desc_en: "Service without rights",
    ..USER
};

/// Everybody in the simulated aiM18.
pub const AIM18: [Aim18Person; 7] = [
    ANN_LEE,
    CHAN_TAI_MAN,
    LEFT,
    BIG,
    AIM18_LOCKED,
    AIM18_SERVICE,
    AIM18_NO_RIGHTS,
];
