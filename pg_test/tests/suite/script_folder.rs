//! A folder with the extension's SQL scripts, for scripts that are not installed. PostgreSQL looks
//! there from version 18 on.

use std::fs;
use std::path::{Path, PathBuf};

use pg_test::directory::{self, Directory};

/// A folder for `extension_control_path`, removed on drop.
pub struct ScriptFolder(Directory);

impl ScriptFolder {
    /// Copies the control file and all scripts of this checkout.
    pub fn copy() -> Self {
        let folder = Self(Directory::temporary("scripts"));
        directory::create(&folder.path(""));
        let checkout = Path::new(env!("CARGO_MANIFEST_DIR")).parent().unwrap();
        let scripts = fs::read_dir(checkout.join("sql")).unwrap();
        let scripts = scripts.map(|script| script.unwrap().path());
        for file in scripts.chain([checkout.join("sr_event_writer.control")]) {
            let name = file.file_name().unwrap().to_str().unwrap();
            folder.write(name, &fs::read_to_string(&file).unwrap());
        }
        folder
    }

    /// Returns the content of a file.
    pub fn read(&self, name: &str) -> String {
        fs::read_to_string(self.path(name)).unwrap()
    }

    /// Writes a file, or replaces it.
    pub fn write(&self, name: &str, text: &str) {
        fs::write(self.path(name), text).unwrap();
    }

    /// Returns the setting that makes a server prefer this folder.
    pub fn setting(&self) -> (String, String) {
        let path = format!("{}:$system", self.0.path().display());
        ("extension_control_path".to_owned(), path)
    }

    fn path(&self, name: &str) -> PathBuf {
        self.0.path().join("extension").join(name)
    }
}
