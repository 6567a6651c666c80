//! A secret's directory: `metadata.json` and one age file per key type.

use std::os::fd::OwnedFd;

use rustix::fs::fstat;

use crate::{
    damage::Damage,
    disk::{
        held::Shared,
        layout::{self, METADATA},
        root::{FileId, ReadError, Root, look_at},
    },
    error::Error,
    id::Id,
    keys::{KeyType, cipher::MAX_CIPHERTEXT_LEN},
    metadata::{MAX_METADATA_LEN, Metadata},
};

/// Copies of a secret's files, taken under the shared lock and decrypted after it.
pub(crate) struct Sealed {
    pub(crate) metadata: Option<Metadata>,
    /// What is there of each key type. A file that cannot be used is remembered with the reason,
    /// since another type's may do.
    pub(crate) ciphertexts: Vec<(KeyType, Result<Vec<u8>, Damage>)>,
    /// What else it has a file for, which was not read.
    others: Vec<KeyType>,
}

impl Sealed {
    /// Reads all the files of `id`.
    pub(crate) fn read(root: &Root, shared: &Shared, id: &Id) -> Result<Self, Error> {
        Self::read_for(root, shared, id, |_| true)
    }

    /// Reads the metadata of `id` and its copies for these types of key; of the others it is seen
    /// that they are there.
    pub(crate) fn read_for(
        root: &Root,
        shared: &Shared,
        id: &Id,
        wanted: impl Fn(KeyType) -> bool,
    ) -> Result<Self, Error> {
        Self::read_in(root, &open(root, shared, id)?, id, wanted)
    }

    /// The same in its directory.
    pub(crate) fn read_in(
        root: &Root,
        dir: &OwnedFd,
        id: &Id,
        wanted: impl Fn(KeyType) -> bool,
    ) -> Result<Self, Error> {
        let mut sealed = Self {
            metadata: metadata_in(root, dir, METADATA, id)?,
            ciphertexts: Vec::with_capacity(1),
            others: Vec::new(),
        };
        for key_type in KeyType::ALL {
            let name = key_type.file_name();
            let fails = |error| damage(root, id, Some(name), error);
            if !wanted(key_type) {
                if look_at(dir, name)
                    .map_err(|e| fails(ReadError::Io(e.into())))?
                    .is_some()
                {
                    sealed.others.push(key_type);
                }
                continue;
            }
            match root.read_file(dir, name, MAX_CIPHERTEXT_LEN) {
                Ok(None) => {}
                Ok(Some(bytes)) => sealed.ciphertexts.push((key_type, Ok(bytes))),
                Err(ReadError::Bad(reason)) => sealed.ciphertexts.push((key_type, Err(reason))),
                Err(error) => return Err(fails(error)),
            }
        }
        if sealed.ciphertexts.is_empty() && sealed.others.is_empty() {
            let error = ReadError::Bad(Damage::NoCiphertext);
            return Err(damage(root, id, None, error));
        }
        Ok(sealed)
    }

    /// How many bytes the copies have.
    pub(crate) fn len(&self) -> usize {
        let len = |(_, file): &(_, Result<Vec<u8>, Damage>)| file.as_ref().map_or(0, Vec::len);
        self.ciphertexts.iter().map(len).sum()
    }

    /// What there are copies for, read or not.
    pub(crate) fn key_types(&self) -> Vec<KeyType> {
        let read = |key_type| self.ciphertexts.iter().any(|(t, _)| *t == key_type);
        let has = |key_type: &KeyType| read(*key_type) || self.others.contains(key_type);
        KeyType::ALL.into_iter().filter(has).collect()
    }
}

/// Reads the metadata of `id` only.
pub(crate) fn read_metadata(
    root: &Root,
    shared: &Shared,
    id: &Id,
) -> Result<Option<Metadata>, Error> {
    if !root.private {
        return metadata_in(root, &open(root, shared, id)?, METADATA, id);
    }
    // To look at the directory takes half as long as to open it. One file cannot be of two; and only
    // this user can put a link there in between.
    let look = |name: &str| Ok(root.check_dir(name)?.then(|| format!("{name}/{METADATA}")));
    metadata_in(root, &root.dir, &find_by(root, id, look)?, id)
}

/// Opens the directory of `id`: what is read there belongs together, even if it is replaced meanwhile.
fn open(root: &Root, _: &Shared, id: &Id) -> Result<OwnedFd, Error> {
    find_by(root, id, |name| root.open_dir(name))
}

/// The directory of `id`, open, and which it is; `None` if there is none.
pub(crate) fn find(
    root: &Root,
    shared: &Shared,
    id: &Id,
) -> Result<Option<(OwnedFd, FileId)>, Error> {
    match open(root, shared, id) {
        Ok(dir) => {
            let stat = fstat(&dir).map_err(|e| damage(root, id, None, ReadError::Io(e.into())))?;
            Ok(Some((dir, FileId::from(&stat))))
        }
        Err(Error::NotFound { .. }) => Ok(None),
        Err(error) => Err(error),
    }
}

/// What `look` finds by the name of the directory of `id`.
fn find_by<T>(
    root: &Root,
    id: &Id,
    look: impl Fn(&str) -> Result<Option<T>, ReadError>,
) -> Result<T, Error> {
    let name = id.directory_name();
    let found = match look(&name) {
        // Perhaps a commit without RENAME_EXCHANGE was interrupted.
        Ok(None) => look(&layout::aside(&name)),
        found => found,
    };
    match found {
        Ok(Some(found)) => Ok(found),
        Ok(None) => Err(Error::NotFound { id: id.clone() }),
        Err(error) => Err(damage(root, id, None, error)),
    }
}

/// Reads the metadata of `id` in the file `name` in `dir`.
fn metadata_in(root: &Root, dir: &OwnedFd, name: &str, id: &Id) -> Result<Option<Metadata>, Error> {
    let damage = |error| damage(root, id, Some(METADATA), error);
    let bytes = root
        .read_file(dir, name, MAX_METADATA_LEN)
        .map_err(damage)?
        .ok_or_else(|| damage(ReadError::Bad(Damage::Missing)))?;
    Metadata::from_json(&bytes).map_err(|reason| damage(ReadError::Bad(reason)))
}

fn damage(root: &Root, id: &Id, file: Option<&str>, error: ReadError) -> Error {
    let mut path = root.path_of(id.directory_name());
    path.extend(file);
    match error {
        ReadError::Bad(reason) => Error::Damaged {
            id: id.clone(),
            path,
            reason,
        },
        ReadError::Io(source) => Error::io("read", path, source),
    }
}
