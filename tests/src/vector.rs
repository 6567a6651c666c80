//! The C2SP CCTV vectors for age in `fixtures/cctv/age/`.

use std::{collections::BTreeMap, fs, path::Path};

use crate::binary::workspace;

/// An age file, and what is known of it.
pub struct Vector {
    /// Its name.
    pub name: String,
    /// The age file.
    pub file: Vec<u8>,
    header: BTreeMap<String, Vec<String>>,
}

/// All of them.
///
/// # Panics
/// One cannot be read.
pub fn all() -> impl Iterator<Item = Vector> {
    let vectors = fs::read_dir(workspace().join("fixtures/cctv/age")).expect("vectors");
    vectors.map(|entry| Vector::read(&entry.expect("a vector").path()))
}

impl Vector {
    /// The one of that name.
    #[must_use]
    pub fn named(name: &str) -> Self {
        Self::read(&workspace().join("fixtures/cctv/age").join(name))
    }

    fn read(path: &Path) -> Self {
        let bytes = fs::read(path).expect("a vector");
        let end = bytes.windows(2).position(|two| two == b"\n\n");
        let end = end.expect("an empty line");
        let mut header: BTreeMap<String, Vec<String>> = BTreeMap::new();
        for line in std::str::from_utf8(&bytes[..end]).expect("UTF-8").lines() {
            let (key, value) = line.split_once(": ").expect("key: value");
            header.entry(key.into()).or_default().push(value.into());
        }
        let mut file = bytes[end + 2..].to_vec();
        if header.contains_key("compressed") {
            let inflated = miniz_oxide::inflate::decompress_to_vec_zlib(&file);
            file = inflated.expect("zlib");
        }
        Self {
            name: path.file_name().expect("a name").to_string_lossy().into(),
            file,
            header,
        }
    }

    /// Each value of that key in its header.
    pub fn all(&self, key: &str) -> impl Iterator<Item = &str> {
        self.header
            .get(key)
            .into_iter()
            .flatten()
            .map(String::as_str)
    }

    /// The first value of that key, or nothing.
    #[must_use]
    pub fn one(&self, key: &str) -> &str {
        self.all(key).next().unwrap_or_default()
    }
}
