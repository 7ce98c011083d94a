//! An object's one call that adds.

use resv_api::*;

/// One call or the steps of a guard: the same entries and the same failures, whatever signals or fails
/// in between.
fn one_call_adds_what_the_steps_add<B: Backend + Default>(semantics: SemanticsKind) {
    let (one, steps) = (
        Resv::with(semantics, B::default()),
        Resv::with(semantics, B::default()),
    );
    let timelines = ["a", "b", "c"].map(Timeline::new);
    let mut jobs: Vec<Signaler> = Vec::new();
    for number in 0..60_usize {
        let next = timelines[number * 7 % 3].issue().unwrap();
        let usage = Usage::ALL[number * 5 % 11 % 4];
        let fence = if number % 8 == 7 {
            Fence::all([next.fence(), jobs[jobs.len() - 1].fence()]).unwrap()
        } else {
            next.fence().clone()
        };
        jobs.push(next);
        one.add(&fence, usage).unwrap();
        let mut guard = steps.lock();
        guard.reserve_for(&fence, usage).unwrap().add(&fence, usage);
        drop(guard);
        match number % 5 {
            1 => jobs.remove(0).signal(),
            3 => jobs
                .remove(0)
                .signal_error([FenceError::IO, FenceError::CANCELED][number / 5 % 2]),
            _ => {}
        }
        let told = |resv: &Resv<SemanticsKind, B>| {
            let entries = resv.lock().entries().into_iter();
            let keys: Vec<_> = entries.map(|entry| entry.key()).collect();
            let of_each = Access::ALL.map(|access| (resv.is_idle(access), resv.failure(access)));
            (keys, of_each)
        };
        assert_eq!(told(&one), told(&steps), "{semantics:?}, {number}");
    }
    jobs.into_iter().for_each(Signaler::signal);
}

#[test]
fn one_call_adds_what_the_steps_add_on_any_back_end() {
    on_each!(one_call_adds_what_the_steps_add);
}
