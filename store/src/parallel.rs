//! The same work on many things, on all cores.

use std::{
    num::NonZero,
    panic::resume_unwind,
    sync::{
        OnceLock,
        atomic::{AtomicUsize, Ordering},
    },
    thread,
};

/// How many threads can run at the same time.
pub(crate) fn cores() -> usize {
    static CORES: OnceLock<usize> = OnceLock::new();
    // To ask takes a dozen system calls.
    *CORES.get_or_init(|| thread::available_parallelism().map_or(1, NonZero::get))
}

/// Does `work` on runs of `len` items, in so many threads; gives what that gave, in the order of the
/// items.
///
/// The caller's thread takes part: one run alone starts no other, and where none can be started it
/// does all the work. A panic in `work` is the caller's.
pub(crate) fn in_order<T: Sync, R: Send>(
    items: &[T],
    len: usize,
    threads: usize,
    work: impl Fn(&[T]) -> Vec<R> + Sync,
) -> Vec<R> {
    if items.len() <= len {
        return work(items);
    }
    let runs: Vec<&[T]> = items.chunks(len).collect();
    let next = AtomicUsize::new(0);
    let take_part = || {
        let mut done = Vec::new();
        loop {
            let index = next.fetch_add(1, Ordering::Relaxed);
            match runs.get(index) {
                Some(run) => done.push((index, work(run))),
                None => return done,
            }
        }
    };
    let mut done = thread::scope(|scope| {
        let start = |_| thread::Builder::new().spawn_scoped(scope, take_part).ok();
        let others: Vec<_> = (1..threads.min(runs.len())).filter_map(start).collect();
        let mut done = take_part();
        for other in others {
            done.extend(other.join().unwrap_or_else(|panic| resume_unwind(panic)));
        }
        done
    });
    done.sort_unstable_by_key(|(index, _)| *index);
    done.into_iter().flat_map(|(_, results)| results).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn results_come_in_order_and_each_once() {
        let items: Vec<u32> = (0..1000).collect();
        for len in [1, 7, 999, 1000, 1001] {
            let odd = |run: &[u32]| run.iter().copied().filter(|n| n % 2 == 1).collect();
            let expected: Vec<u32> = (0..1000).filter(|n| n % 2 == 1).collect();
            assert_eq!(in_order(&items, len, 3, odd), expected, "{len}");
        }
        assert!(in_order(&[], 3, 3, |_: &[u32]| Vec::<u32>::new()).is_empty());
    }

    #[test]
    #[should_panic(expected = "of the work")]
    fn a_panic_comes_out_as_it_was() {
        in_order(&[1, 2, 3, 4], 1, 3, |run| match run {
            [3] => panic!("of the work"),
            run => run.to_vec(),
        });
    }
}
