//! The example's story, word for word.
#![cfg(feature = "calloop")]

#[path = "../examples/compositor.rs"]
mod example;

#[test]
fn who_waited_for_what() {
    let log = example::run().unwrap();
    let expected = [
        "player: commits, ready at once",
        "player: on screen as output:1",
        "browser: commits, waits for gfx:1",
        "driver: gfx:1 is wanted by the next blank, clocks up",
        "player: commits, waits for vcn:1",
        "driver: vcn:1 is wanted by the next blank, clocks up",
        "player: on screen as output:2",
        "blank: browser keeps its old frame, gfx:1 is late",
        "browser: draws on, a new reader would wait for gfx:2",
        "browser: on screen as output:3",
        "player: may draw",
        "player: to draw again waits for output:2",
        "player: commits, waits for vcn:2",
        "driver: vcn:2 is wanted by the next blank, clocks up",
        "player: keeps its old frame (canceled: the signaler was dropped)",
        "player: may draw again",
    ];
    assert_eq!(log, expected);
}
