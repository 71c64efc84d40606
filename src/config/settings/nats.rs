//! The settings of the connection to NATS. Those that concern secrets name files; no setting holds
//! a secret, because settings are visible to others.

use crate::config::check;
use crate::config::setting::{Setting, Switch, Text};

/// All settings of the connection.
pub(in crate::config) static SETTINGS: &[&dyn Setting] = &[
    &URL,
    &DOMAIN,
    &INBOX_PREFIX,
    &CREDENTIALS_FILE,
    &NKEY_SEED_FILE,
    &USER,
    &PASSWORD_FILE,
    &TOKEN_FILE,
    &TLS_CA_FILE,
    &TLS_CERT_FILE,
    &TLS_KEY_FILE,
    &TLS_FIRST,
    &TLS_SERVER_NAME,
];

pub(in crate::config) static URL: Text = Text::new(
    c"sr_event_writer.nats_url",
    c"NATS servers, separated by commas.",
    c"nats://nats:4222",
)
.checked(Some(check::servers));

pub(in crate::config) static DOMAIN: Text =
    Text::new(c"sr_event_writer.nats_domain", c"JetStream domain.", c"")
        .checked(Some(check::domain));

pub(in crate::config) static INBOX_PREFIX: Text = Text::new(
    c"sr_event_writer.nats_inbox_prefix",
    c"Prefix of the subjects on which NATS sends replies and messages.",
    c"_INBOX",
)
.checked(Some(check::inbox_prefix));

pub(in crate::config) static CREDENTIALS_FILE: Text = Text::new(
    c"sr_event_writer.nats_credentials_file",
    c"File with JWT and nkey seed of a NATS user.",
    c"",
)
.checked(Some(check::file));

pub(in crate::config) static NKEY_SEED_FILE: Text = Text::new(
    c"sr_event_writer.nats_nkey_seed_file",
    c"File with the nkey seed of a NATS user.",
    c"",
)
.checked(Some(check::file));

pub(in crate::config) static USER: Text = Text::new(
    c"sr_event_writer.nats_user",
    c"NATS user, whose password is in nats_password_file.",
    c"",
);

pub(in crate::config) static PASSWORD_FILE: Text = Text::new(
    c"sr_event_writer.nats_password_file",
    c"File with the password of nats_user.",
    c"",
)
.checked(Some(check::file));

pub(in crate::config) static TOKEN_FILE: Text = Text::new(
    c"sr_event_writer.nats_token_file",
    c"File with a token for NATS.",
    c"",
)
.checked(Some(check::file));

pub(in crate::config) static TLS_CA_FILE: Text = Text::new(
    c"sr_event_writer.nats_tls_ca_file",
    c"File with the certificates of the authorities that may sign a NATS server's certificate.",
    c"",
)
.checked(Some(check::file));

pub(in crate::config) static TLS_CERT_FILE: Text = Text::new(
    c"sr_event_writer.nats_tls_cert_file",
    c"File with the client certificate that is shown to NATS servers.",
    c"",
)
.checked(Some(check::file));

pub(in crate::config) static TLS_KEY_FILE: Text = Text::new(
    c"sr_event_writer.nats_tls_key_file",
    c"File with the private key of the client certificate.",
    c"",
)
.checked(Some(check::file));

pub(in crate::config) static TLS_FIRST: Switch = Switch::new(
    c"sr_event_writer.nats_tls_first",
    c"Begins with TLS before the NATS server has said anything.",
    false,
);

pub(in crate::config) static TLS_SERVER_NAME: Text = Text::new(
    c"sr_event_writer.nats_tls_server_name",
    c"Name that a NATS server's certificate must have, instead of the host of its address.",
    c"",
)
.checked(Some(check::host_name));
