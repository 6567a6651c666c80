//! Overwriting, one by one and many at once.

use std::{fs::File, rc::Rc};

use posixage::{Id, Secret};

use crate::{
    bare,
    place::{Place, VALUE},
    table::{Result, Row, Table},
};

pub(crate) fn overwrite(table: &Table) -> Result<()> {
    let row = Row {
        work: "overwrite, X25519, durable",
        yardstick: "age::encrypt, and the calls of a commit",
        goal: 1.2,
        rounds: 1000,
    };
    table.row(row, || {
        let (place, identity) = Place::with_age()?;
        let (id, _) = place.set("overwrite/this", "secretage")?;
        let aside = place.aside()?;
        let (stage, target) = (aside.join("stage"), aside.join("target"));
        let recipient = identity.to_public();
        bare::stage(&target, &age::encrypt(&recipient, VALUE)?)?;
        let root = File::open(&aside)?;
        let secret = Secret::new(*VALUE);
        let ours = move || Ok(place.store().set(&id, &secret)?);
        let bare = move || {
            bare::stage(&stage, &age::encrypt(&recipient, VALUE)?)?;
            bare::publish(&stage, &target, &root)
        };
        Ok((ours, bare))
    })
}

pub(crate) fn set_many(table: &Table) -> Result<()> {
    let row = Row {
        work: "overwrite 1,000 by set_many, durable",
        yardstick: "1,000 overwrites, one by one",
        goal: 0.2,
        rounds: 7,
    };
    let count = table.count(1000);
    table.row(row, || {
        let (place, _) = Place::with_age()?;
        let place = Rc::new(place);
        let secrets: Vec<(Id, Secret)> = (0..count)
            .map(|n| Ok((format!("many/{n:06}").parse()?, Secret::new(*VALUE))))
            .collect::<Result<_>>()?;
        place.store().set_many(secrets.iter().cloned())?;
        let (place_too, same) = (Rc::clone(&place), secrets.clone());
        let ours = move || Ok(place.store().set_many(secrets.iter().cloned())?);
        let bare = move || {
            same.iter()
                .try_for_each(|(id, secret)| Ok(place_too.store().set(id, secret)?))
        };
        Ok((ours, bare))
    })
}
