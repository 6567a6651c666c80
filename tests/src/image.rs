//! File systems in a file. What is in the file is what the file system has given to its disk: what it
//! still has in memory is lost when the power is cut.
//!
//! Only for a mount namespace of the test's own; see [`crate::namespace`].

use std::{
    collections::BTreeMap,
    fs::{self, File},
    io,
    os::unix::fs::FileExt,
    path::{Path, PathBuf},
};

use rustix::fs::{SeekFrom, ioctl_ficlone, seek, syncfs};

use crate::{Program, tools};

/// How often the file is read until nothing is written meanwhile.
const READS: usize = 100;

const BLOCK: usize = 4096;

/// A kind of file system, and how it is made and mounted.
#[derive(Debug)]
pub struct Format {
    /// Its name.
    pub name: &'static str,
    kernel: &'static str,
    make: &'static [&'static str],
    package: &'static str,
    len: u64,
    options: &'static str,
}

/// All of them, with the least zeal to write: nothing goes to the disk by the clock, if that can be
/// had. The second is ext4 with what it does for careless programs turned off.
pub const FORMATS: [Format; 4] = [EXT4, EXT4_WRITEBACK, XFS, BTRFS];

const EXT4: Format = Format {
    name: "ext4",
    kernel: "ext4",
    make: &["mkfs.ext4", "-q", "-F"],
    package: "e2fsprogs",
    len: 8 << 20,
    options: "loop,commit=600",
};

const EXT4_WRITEBACK: Format = Format {
    name: "ext4 (writeback)",
    options: "loop,commit=600,data=writeback,noauto_da_alloc",
    ..EXT4
};

const XFS: Format = Format {
    name: "xfs",
    kernel: "xfs",
    make: &["mkfs.xfs", "-q", "-f"],
    package: "xfsprogs",
    len: 300 << 20,
    options: "loop",
};

const BTRFS: Format = Format {
    name: "btrfs",
    kernel: "btrfs",
    make: &["mkfs.btrfs", "-q", "-f"],
    package: "btrfs-progs",
    len: 128 << 20,
    options: "loop,commit=600",
};

/// One with room for images of the others, of which it makes copies at once.
pub const SHELF: Format = Format {
    name: "xfs (reflink)",
    len: 8 << 30,
    make: &["mkfs.xfs", "-q", "-f", "-m", "reflink=1"],
    ..XFS
};

/// What is in the file, but for zeros: blocks by their place.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Blocks(BTreeMap<u64, Vec<u8>>);

impl Blocks {
    /// Reads them.
    ///
    /// # Panics
    /// The file cannot be read.
    #[must_use]
    pub fn of(file: &Path) -> Self {
        read(file).unwrap_or_else(|e| panic!("read {}: {e}", file.display()))
    }
}

/// A file system in a file, mounted. Dropped, it is unmounted and the file removed.
pub struct Image {
    file: PathBuf,
    at: PathBuf,
}

impl Image {
    /// Makes one, in a file in `dir`, and mounts it on a directory.
    ///
    /// # Errors
    /// This kernel, or this user's rights, do not allow it: what mount(8) said.
    ///
    /// # Panics
    /// The file system cannot be made.
    pub fn make(format: &Format, dir: &Path, at: &Path) -> Result<Self, String> {
        let file = dir.join("image");
        let made = File::create_new(&file).and_then(|file| file.set_len(format.len));
        made.unwrap_or_else(|e| panic!("make {}: {e}", file.display()));
        Program::new(tools::need(format.make[0], format.package))
            .args(&format.make[1..])
            .arg(&file)
            .run()
            .succeeds();
        mount(format, file, at)
    }

    /// Writes down what was in such a file and mounts it, as after a cut of the power.
    ///
    /// # Errors
    /// It cannot be mounted: what mount(8) said.
    ///
    /// # Panics
    /// The file cannot be written.
    pub fn of(format: &Format, blocks: &Blocks, dir: &Path, at: &Path) -> Result<Self, String> {
        let path = dir.join("image.copy");
        let written = File::create_new(&path).and_then(|file| {
            file.set_len(format.len)?;
            let mut blocks = blocks.0.iter();
            blocks.try_for_each(|(at, block)| file.write_all_at(block, *at))
        });
        written.unwrap_or_else(|e| panic!("write {}: {e}", path.display()));
        mount(format, path, at)
    }

    /// Gives everything to the disk, as another program's sync(2) may do at any time.
    ///
    /// # Panics
    /// It cannot.
    pub fn sync(&self) {
        let dir = File::open(&self.at).expect("open the mount point");
        syncfs(dir).expect("syncfs");
    }

    /// Makes a copy of what the disk has been given by this moment: all of it at once, while it is
    /// written to. Only on a [`SHELF`].
    ///
    /// # Panics
    /// It cannot be made.
    pub fn snapshot(&self, to: &Path) {
        let source = File::open(&self.file).expect("open the image");
        let copy = File::create_new(to).and_then(|to| Ok(ioctl_ficlone(to, source)?));
        copy.unwrap_or_else(|e| panic!("copy to {}: {e}", to.display()));
    }

    /// What the disk has been given. Two looks in a row must see the same: what is being written, some
    /// of it before the rest, would look like a disk that does not keep to the order it was told.
    ///
    /// # Panics
    /// It cannot be read, or is written to all the time.
    #[must_use]
    pub fn blocks(&self) -> Blocks {
        let read = || Blocks::of(&self.file);
        let mut before = read();
        for _ in 0..READS {
            let after = read();
            if after == before {
                return after;
            }
            before = after;
        }
        panic!("{} is written to all the time", self.file.display());
    }
}

impl Drop for Image {
    fn drop(&mut self) {
        let umount = Program::new(tools::need("umount", "mount")).arg(&self.at);
        let output = umount.run();
        if !output.status.success() {
            eprintln!("{output:?}");
        }
        drop(fs::remove_file(&self.file));
    }
}

fn mount(format: &Format, file: PathBuf, at: &Path) -> Result<Image, String> {
    let output = Program::new(tools::need("mount", "mount"))
        .args(["-t", format.kernel, "-o", format.options])
        .arg(&file)
        .arg(at)
        .run();
    if !output.status.success() {
        drop(fs::remove_file(&file));
        return Err(output.err());
    }
    Ok(Image {
        file,
        at: at.into(),
    })
}

fn read(path: &Path) -> io::Result<Blocks> {
    let file = File::open(path)?;
    let len = file.metadata()?.len();
    let mut blocks = BTreeMap::new();
    let mut end = 0;
    // ENXIO: no data behind it.
    while let Ok(start) = seek(&file, SeekFrom::Data(end)) {
        end = seek(&file, SeekFrom::Hole(start))?;
        let start = start - start % BLOCK as u64;
        for at in (start..end).step_by(BLOCK) {
            let mut block =
                vec![0; usize::try_from(len - at).map_or(BLOCK, |left| left.min(BLOCK))];
            file.read_exact_at(&mut block, at)?;
            if block != [0; BLOCK] {
                blocks.insert(at, block);
            }
        }
    }
    Ok(Blocks(blocks))
}
