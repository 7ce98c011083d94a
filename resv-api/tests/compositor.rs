//! The example's story, word for word.
#![cfg(feature = "calloop")]

#[path = "../examples/compositor.rs"]
mod compositor;

#[test]
fn who_waited_for_what() {
    let log = compositor::run().unwrap();
    let expected = [
        "player: commits, ready at once",
        "player: on screen as output:1",
        "browser: commits, waits for gfx:1",
        "player: commits, waits for vcn:1",
        "player: on screen as output:2",
        "browser: draws on, a new reader would wait for gfx:2",
        "browser: on screen as output:3",
        "player: may draw",
        "player: to draw again waits for output:2",
        "player: commits, waits for vcn:2",
        "player: keeps its old frame (canceled: the signaler was dropped)",
        "player: may draw again",
    ];
    assert_eq!(log, expected);
}
