//! Locking, get, list, filter, and matching of patterns.

use std::{fs, str::FromStr};

use posixage::{Id, Identity, KeyFile, KeySource, Password, Pattern, Store, lock::Mode};

use crate::{
    bare,
    place::{Place, VALUE, key_file},
    table::{Result, Row, Table},
};

/// As `store` makes it, unless told otherwise.
const WORK_FACTOR: u8 = 18;

pub(crate) fn lock(table: &Table) -> Result<()> {
    let row = Row {
        work: "lock + unlock",
        yardstick: "open, flock, ftruncate, fstat, stat, unlock, close",
        goal: 1.5,
        rounds: 5000,
    };
    table.row(row, || {
        let (place, _) = Place::with_age()?;
        let path = place.aside()?.join("lock");
        let ours = move || Ok(place.store().lock(Mode::Exclusive)?.release()?);
        Ok((ours, move || bare::lock(&path)))
    })
}

pub(crate) fn get_age(table: &Table) -> Result<()> {
    let row = Row {
        work: "get, X25519, 28 bytes",
        yardstick: "age::decrypt of that blob",
        goal: 1.25,
        rounds: 5000,
    };
    table.row(row, || {
        let (place, identity) = Place::with_age()?;
        let (id, blob) = place.set("get/this", "secretage")?;
        let bare = move || is_value(&age::decrypt(&identity, &blob)?);
        Ok((get(place, id), bare))
    })
}

pub(crate) fn get_ssh_ed25519(table: &Table) -> Result<()> {
    let row = Row {
        work: "get, ssh-ed25519",
        yardstick: "age::decrypt of that blob, key parsed",
        goal: 1.25,
        rounds: 2000,
    };
    table.row(row, || {
        let place = Place::new(ssh_key("ssh-ed25519")?, WORK_FACTOR)?;
        let (id, blob) = place.set("get/this", "secretssh")?;
        let identity = parse_ssh("ssh-ed25519")?;
        let bare = move || is_value(&age::decrypt(&identity, &blob)?);
        Ok((get(place, id), bare))
    })
}

/// The goal of 8/25 is that of the crate as it comes, with digits of 32 bits: this build's are 64
/// bits wide, the yardstick's too.
pub(crate) fn get_ssh_rsa(table: &Table) -> Result<()> {
    let row = Row {
        work: "get, ssh-rsa 3072",
        yardstick: "key parsed, and age::decrypt of that blob",
        goal: 1.0,
        rounds: 100,
    };
    table.row(row, || {
        let place = Place::new(ssh_key("ssh-rsa")?, WORK_FACTOR)?;
        let (id, blob) = place.set("get/this", "secretssh")?;
        let bare = move || is_value(&age::decrypt(&parse_ssh("ssh-rsa")?, &blob)?);
        Ok((get(place, id), bare))
    })
}

pub(crate) fn get_password(table: &Table) -> Result<()> {
    let row = Row {
        work: "get, password, factor 18",
        yardstick: "scrypt alone",
        goal: 1.05,
        rounds: 5,
    };
    let work_factor = table.work_factor(WORK_FACTOR);
    table.row(row, || {
        let place = Place::new(password()?, work_factor)?;
        let (id, _) = place.set("get/this", "secretpass")?;
        let params = scrypt::Params::new(work_factor, 8, 1, 32)?;
        let bare = move || Ok(scrypt::scrypt(b"password", b"salt", &params, &mut [0; 32])?);
        Ok((get(place, id), bare))
    })
}

pub(crate) fn get_ten_passwords(table: &Table) -> Result<()> {
    let row = Row {
        work: "filter 10, one password, factor 18",
        yardstick: "get of one of them; on 2 cores",
        goal: 5.5,
        rounds: 3,
    };
    let work_factor = table.work_factor(WORK_FACTOR);
    table.row(row, || {
        let place = Place::new(password()?, work_factor)?;
        for n in 0..10 {
            place.set(&format!("ten/{n}"), "secretpass")?;
        }
        let one = Store::builder(place.store().path())
            .identity(password()?)
            .open()?;
        let id = "ten/7".parse()?;
        let bare = move || is_value(one.get(&id)?.expose());
        Ok((filter(place, 10), bare))
    })
}

pub(crate) fn list(table: &Table) -> Result<()> {
    let row = Row {
        work: "list 1,000",
        yardstick: "readdir; openat, read, close of each metadata.json",
        goal: 1.3,
        rounds: 200,
    };
    let count = table.count(1000);
    table.row(row, || {
        let (place, _) = Place::with_age()?;
        for n in 0..count {
            place.set(&format!("many/{n:06}"), "secretage")?;
        }
        let root = place.open_root()?;
        let bare = move || is(bare::list(&root)?, count);
        Ok((list_all(place, count), bare))
    })
}

pub(crate) fn list_many(table: &Table) -> Result<()> {
    let row = Row {
        work: "list 100,000, for each 1,000",
        yardstick: "list 1,000",
        goal: 1.3,
        rounds: 10,
    };
    let (few, many) = (table.count(1000), table.count(100_000));
    let times = u32::try_from(many / few)?;
    table.row_of_parts(row, times, || {
        let [few_place, many_place] = [Place::with_age()?.0, Place::with_age()?.0];
        few_place.fill(few)?;
        many_place.fill(many)?;
        Ok((list_all(many_place, many), list_all(few_place, few)))
    })
}

pub(crate) fn filter_age(table: &Table) -> Result<()> {
    let row = Row {
        work: "filter 1,000, decrypting",
        yardstick: "1,000 × age::decrypt on one core; on 2 cores",
        goal: 0.6,
        rounds: 15,
    };
    let count = table.count(1000);
    table.row(row, || {
        let (place, identity) = Place::with_age()?;
        let (_, blob) = place.set("many/000000", "secretage")?;
        place.fill(count)?;
        let bare = move || (0..count).try_for_each(|_| is_value(&age::decrypt(&identity, &blob)?));
        Ok((filter(place, count), bare))
    })
}

pub(crate) fn match_pattern(table: &Table) -> Result<()> {
    let row = Row {
        work: "match 40 × ** with 90 components",
        yardstick: "to compare every part with every component",
        goal: 1.0,
        rounds: 2000,
    };
    table.row(row, || {
        let parts = vec!["**/a"; 40].join("/") + "/b";
        let pattern = Pattern::from_str(&parts)?;
        let id: Id = vec!["a"; 90].join("/").parse()?;
        let same = id.clone();
        let ours = move || is(usize::from(pattern.matches(&id)), 0);
        let bare = move || {
            let equal = |part: &str| same.components().filter(|name| *name == part).count();
            is(parts.split('/').map(equal).sum(), 3600)
        };
        Ok((ours, bare))
    })
}

fn get(place: Place, id: Id) -> impl FnMut() -> Result<()> {
    move || is_value(place.store().get(&id)?.expose())
}

fn list_all(place: Place, count: usize) -> impl FnMut() -> Result<()> {
    move || is(place.store().list(&Pattern::all())?.count(), count)
}

fn filter(place: Place, count: usize) -> impl FnMut() -> Result<()> {
    move || {
        let mut found = 0;
        for (_, secret) in place.store().filter(&Pattern::all())? {
            is_value(secret?.expose())?;
            found += 1;
        }
        is(found, count)
    }
}

fn is_value(value: &[u8]) -> Result<()> {
    match value == VALUE {
        true => Ok(()),
        false => Err("not the value".into()),
    }
}

fn is(found: usize, expected: usize) -> Result<()> {
    match found == expected {
        true => Ok(()),
        false => Err(format!("{found} instead of {expected}").into()),
    }
}

fn password() -> Result<Password> {
    Ok(Password::new("password").ok_or("no password")?)
}

fn ssh_key(name: &str) -> Result<KeySource<Identity>> {
    let file = KeyFile::new(key_file(name)).allow_insecure_permissions(true);
    Ok(file.identities()?)
}

fn parse_ssh(name: &str) -> Result<age::ssh::Identity> {
    let text = fs::read(key_file(name))?;
    Ok(age::ssh::Identity::from_buffer(text.as_slice(), None)?)
}
