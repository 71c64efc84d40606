//! What is shipped: each package alone, on a root that never had the extension, where the
//! demonstration then accounts for every message. `make packages` makes them.

use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use pg_test::postgres::Installation;

/// The program behind `make demo`.
const STACK: &str = env!("CARGO_BIN_EXE_stack");

#[test]
fn the_debian_package_alone_is_enough_for_the_demo() {
    let major = Installation::choose().major();
    let package = package(&format!("postgresql-{major}-sr-event-writer_"), ".deb");
    // dpkg refuses a package whose dependencies are not installed.
    on_clean_root(&format!(
        "[[ ! -e /usr/share/postgresql/{major}/extension/sr_event_writer.control ]]
         dpkg --install '{package}'
         '{STACK}' demo",
        package = package.display(),
    ));
}

#[test]
fn the_removed_debian_package_leaves_nothing_behind() {
    let major = Installation::choose().major();
    let package = package(&format!("postgresql-{major}-sr-event-writer_"), ".deb");
    on_clean_root(&format!(
        "dpkg --install '{package}'
         dpkg --purge postgresql-{major}-sr-event-writer
         [[ -z $(find / -xdev -name '*sr?event?writer*' -path '*postgresql*') ]]",
        package = package.display(),
    ));
}

#[test]
fn the_extension_image_is_found_where_cloudnativepg_mounts_it() {
    if Installation::choose().major() < 18 {
        // Older servers have no extension_control_path.
        return;
    }
    let image = package("sr_event_writer-", ".oci.tar");
    on_clean_root(&format!(
        "umask 022
         mkdir -p /extensions/sr-event-writer /layout
         tar --extract --file='{image}' -C /layout
         digest() {{ jq -r \"$1\" | tr : / | sed 's#^#/layout/blobs/#'; }}
         manifest=$(digest .manifests[0].digest </layout/index.json)
         [[ $(jq '.layers | length' $manifest) == 1 ]]
         jq -e '.config.User == \"65532:65532\"' $(digest .config.digest <$manifest)
         tar --extract --gzip --file=$(digest .layers[0].digest <$manifest) \
             -C /extensions/sr-event-writer
         mount --bind -o ro /extensions/sr-event-writer /extensions/sr-event-writer
         '{STACK}' demo \
             'extension_control_path=$system:/extensions/sr-event-writer/share' \
             'dynamic_library_path=$libdir:/extensions/sr-event-writer/lib'",
        image = image.display(),
    ));
}

/// Cargo accepts the tarball's crates instead of a registry, and builds one with them; building the
/// extension itself would take minutes here.
#[test]
fn the_tarball_needs_no_network() {
    let tarball = package("sr_event_writer-", ".tar.gz");
    on_clean_root(&format!(
        "mkdir /source
         tar --extract --gzip --file='{tarball}' -C /source --strip-components=1
         export CARGO_HOME=/no-crates CARGO_TARGET_DIR=/source/target
         cd /source
         without_network='unshare --net'
         $without_network cargo metadata --locked --offline --format-version 1 >/dev/null
         $without_network cargo check --locked --offline --package sr_row",
        tarball = tarball.display(),
    ));
}

/// Runs a script of bash that ends with its first failing command; panics with its output.
fn on_clean_root(script: &str) {
    let output = Command::new(checkout().join("testbed/clean-root"))
        .args(["bash", "-euo", "pipefail", "-c", script])
        .env("DEBIAN_FRONTEND", "noninteractive")
        .stdin(Stdio::null())
        .output()
        .expect("run testbed/clean-root");
    assert!(
        output.status.success(),
        "{script}\n--- output\n{}\n--- errors\n{}",
        String::from_utf8_lossy(&output.stdout),
        String::from_utf8_lossy(&output.stderr)
    );
}

/// The one package with this beginning and end of its name.
fn package(begin: &str, end: &str) -> PathBuf {
    let folder = folder();
    let found = std::fs::read_dir(&folder)
        .into_iter()
        .flatten()
        .filter_map(|entry| Some(entry.ok()?.path()))
        .filter(|path| {
            let name = path.file_name().unwrap_or_default().to_string_lossy();
            name.starts_with(begin) && name.ends_with(end)
        });
    let found: Vec<PathBuf> = found.collect();
    match &found[..] {
        [one] => one.clone(),
        _ => panic!(
            "{} has not one {begin}…{end} but {found:?}: `make packages` makes it",
            folder.display()
        ),
    }
}

fn folder() -> PathBuf {
    let target = std::env::var_os("CARGO_TARGET_DIR").map(PathBuf::from);
    let folder = std::env::var_os("SR_PACKAGES").map(PathBuf::from);
    folder.unwrap_or_else(|| {
        checkout()
            .join(target.unwrap_or_else(|| "target".into()))
            .join("packages")
    })
}

fn checkout() -> &'static Path {
    let manifest = Path::new(env!("CARGO_MANIFEST_DIR"));
    manifest.parent().expect("the project's folder")
}
