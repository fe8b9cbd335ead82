//! The demo's configuration: a file like any other, so that it shows how one looks.

use std::fs;
#[cfg(unix)]
use std::fs::Permissions;
use std::io;
#[cfg(unix)]
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};

use anyhow::anyhow;

use crate::passwords::hash_password;
use crate::protocol::secret::Secret;
use crate::simulator::imis::ClientApplication;
use crate::simulator::{aim18, people};

/// The account of the config file itself, for the day when no upstream answers.
pub(super) const BREAK_GLASS: (&str, &str) = ("break-glass", "glass-demo-1");

/// Where everything listens.
pub(super) struct Addresses {
    pub(super) issuer: String,
    pub(super) port: u16,
    pub(super) sample_app: String,
    pub(super) imis: String,
    pub(super) aim18: String,
}

/// Readable by its owner alone, as every secret file should be.
fn write_secret(file: &Path, secret: &str) -> io::Result<()> {
    fs::write(file, secret)?;
    #[cfg(unix)]
    fs::set_permissions(file, Permissions::from_mode(0o600))?;
    Ok(())
}

/// Writes the configuration into `folder`.
pub(super) fn write(
    folder: &Path,
    addresses: &Addresses,
    verbose: bool,
) -> anyhow::Result<PathBuf> {
    let Addresses {
        issuer,
        port,
        sample_app,
        imis,
        aim18,
    } = addresses;
    let service = people::SERVICE;
    write_secret(&folder.join("imis-service-password"), service.password)?;
    write_secret(&folder.join("aim18-client-secret"), aim18::CLIENT_SECRET)?;
    let sso = ClientApplication::demo();
    write_secret(&folder.join("imis-sso-secret"), &sso.client_secret)?;
    let hash = hash_password(&Secret::new(BREAK_GLASS.1)).map_err(|error| anyhow!("{error}"))?;
    let filter = if verbose { "info" } else { "error" };
    let text = format!(
        r#"# Written by `portico demo`.
issuer = "{issuer}"

[server]
listen = "127.0.0.1:{port}"
internal_listen = "127.0.0.1:0"

[log]
filter = "{filter}"

[brand]
name = "Portico demo"

[[upstreams]]
id = "members"
kind = "imis"
label = "Member login"
login = ["password", "redirect"]
base_url = "{imis}"
sign_in_url = "{imis}/Sign-in.aspx?ReturnUrl={{page_path}}"
logout_url = "{imis}/AsiCommon/Controls/Shared/FormsAuthentication/logout.aspx?returnurl={{return_url}}"
service_account = {{ username = "{service_name}", password = {{ file = "imis-service-password" }} }}

[[upstreams.sso_pages]]
client_id = "{sso_client}"
client_secret = {{ file = "imis-sso-secret" }}
page_url = "{imis}/SSO/{sso_client}.aspx"
client = "demo-app"

[[upstreams]]
id = "staff"
kind = "aim18"
label = "Staff login"
login = ["redirect", "password"]
base_url = "{aim18}"
client_id = "{aim18_client}"
client_secret = {{ file = "aim18-client-secret" }}

[upstreams.profile]
module = "user"
fields = {{ name = "desc", preferred_username = "code", email = "email" }}

[[upstreams]]
id = "emergency"
kind = "users"
label = "Break-glass account"

[[upstreams.people]]
id = "1"
username = "{break_glass}"
password_hash = "{hash}"
name = "Break Glass"

[[clients]]
client_id = "demo-app"
client_name = "Sample app"
client_uri = "{sample_app}/"
initiate_login_uri = "{sample_app}/"
token_endpoint_auth_method = "none"
redirect_uris = ["{sample_app}/"]
post_logout_redirect_uris = ["{sample_app}/"]
grant_types = ["authorization_code", "refresh_token"]
scope = "openid profile email offline_access"
"#,
        service_name = service.username,
        sso_client = sso.client_id,
        aim18_client = aim18::CLIENT_ID,
        break_glass = BREAK_GLASS.0,
    );
    let file = folder.join("portico.toml");
    fs::write(&file, text)?;
    Ok(file)
}
