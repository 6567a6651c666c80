//! Overwriting, one by one and many at once.

use std::fs::File;

use posixage::Secret;

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
