//! Many contenders for the lock.

use std::{
    fs,
    io::{BufRead, BufReader},
};

use crate::program::{contender, hear, root};

#[test]
fn eight_processes_count_exactly() {
    let root = root();
    let number = root.path().join("number");
    fs::write(&number, "0\n").unwrap();
    let count = || {
        let mut command = contender(root.path(), &["count", "2000"]);
        command.arg(&number).spawn().unwrap()
    };
    let children: Vec<_> = (0..8).map(|_| count()).collect();
    for child in children {
        hear(child);
    }
    assert_eq!(fs::read_to_string(&number).unwrap(), "16000\n");
}

#[test]
fn a_writer_gets_in_beside_six_readers() {
    let root = root();
    let mut readers = Vec::new();
    for _ in 0..6 {
        let mut reader = contender(root.path(), &["read"]).spawn().unwrap();
        let mut said = String::new();
        BufReader::new(reader.stdout.as_mut().unwrap())
            .read_line(&mut said)
            .unwrap();
        assert_eq!(said, "reading\n");
        readers.push(reader);
    }
    let writer = contender(root.path(), &["write", "200"]).spawn().unwrap();
    assert_eq!(hear(writer).lines().count(), 200);
    for mut reader in readers {
        drop(reader.stdin.take());
        hear(reader);
    }
}
