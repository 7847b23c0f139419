//! One folder of snapshots: compares all of them before it fails, and finds those that no test makes any more.

use std::collections::BTreeSet;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::{Path, PathBuf};

use insta::Settings;

pub(crate) struct Recorder {
    folder: PathBuf,
    made: BTreeSet<String>,
    failed: Vec<String>,
}

impl Recorder {
    /// Snapshots in this folder of `tests/snapshots/`, of which one test makes all.
    pub(crate) fn new(folder: &str) -> Self {
        let snapshots = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../tests/snapshots");
        Self {
            folder: snapshots.join(folder),
            made: BTreeSet::new(),
            failed: Vec::new(),
        }
    }

    /// Compares a text with its snapshot; `finish` fails where they differ.
    pub(crate) fn check(&mut self, name: &str, text: &str) {
        assert!(self.made.insert(name.to_owned()), "{name} is made twice");
        let mut settings = Settings::clone_current();
        settings.set_snapshot_path(&self.folder);
        settings.set_prepend_module_to_snapshot(false);
        settings.set_omit_expression(true);
        let compare = || settings.bind(|| insta::assert_snapshot!(name, text));
        if catch_unwind(AssertUnwindSafe(compare)).is_err() {
            self.failed.push(name.to_owned());
        }
    }

    pub(crate) fn finish(self) {
        let files = std::fs::read_dir(&self.folder)
            .unwrap()
            .map(|file| file.unwrap().file_name());
        let files = files.filter_map(|file| Some(file.to_str()?.strip_suffix(".snap")?.to_owned()));
        let stale: Vec<_> = files.filter(|name| !self.made.contains(name)).collect();
        let folder = self.folder.display();
        assert!(
            stale.is_empty(),
            "remove from {folder} what no test makes any more: {stale:?}"
        );
        assert!(
            self.failed.is_empty(),
            "snapshots in {folder} differ: {:?}",
            self.failed
        );
    }
}
