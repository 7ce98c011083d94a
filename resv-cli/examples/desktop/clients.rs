//! The programs of the desktop.
//!
//! | program | timeline | what it does |
//! |---|---|---|
//! | compositor | 41 on gfx | two outputs at 60 Hz, each with two buffers; output 0 shows the game, output 1 the video and the panel |
//! | orbit game | 57 on gfx | about 90 frames a second into three images; two are explicitly synchronised, the third is not |
//! | | 59 on compute | draws the head-up display into a strip of the same image, at the same time as 57 draws the rest |
//! | player | 63 on vcn | decodes 30 frames a second into a ring of four surfaces, each decoded from the one before |
//! | screencast | 71 on compute | converts every second frame of output 0; now and then a slow full-size picture |
//! | panel | 75 on gfx | redraws its clock |
//! | page tables | 17, 19, 21 on sdma0 | map and unmap for the game, the compositor, the player |
//! | moves | 23 on sdma1 | moves the game's textures and the compositor's atlas between memories |

use std::collections::BTreeSet;

use super::Dice;
use super::gpu::{Gpu, Key, Queue, Task, Todo};
use super::print::{END, atlas_address, textures_address};

/// The programs run this long before the recording begins, in microseconds.
const LEAD: i64 = 90_000;
/// From one vertical blank to the next.
const REFRESH: i64 = 16_667;

const GFX: usize = 0;
const COMPUTE: usize = 1;
const COMPUTE_LOW: usize = 2;
const VIDEO: usize = 3;
const SDMA0: usize = 4;
const SDMA1: usize = 5;

const fn task(comm: &'static str, pid: u32) -> Task {
    Task { comm, pid }
}

const fn queue(context: u64, ring: usize, client: u64, task: Task) -> Queue {
    Queue {
        context,
        ring,
        client,
        task,
    }
}

const IDLE: Task = task("<idle>", 0);
const FLIP_WORKER: Task = task("kworker/u33:1", 517);
const MOVE_WORKER: Task = task("kworker/3:2-ttm", 388);
const COMPOSITOR: Queue = queue(41, GFX, 4, task("compositor:cs0", 1203));
const GAME: Queue = queue(57, GFX, 11, task("orbit game:cs0", 2290));
const GAME_HUD: Queue = queue(59, COMPUTE, 11, task("orbit game:cs1", 2291));
const PLAYER: Queue = queue(63, VIDEO, 14, task("player:dec0", 3110));
const SCREENCAST: Queue = queue(71, COMPUTE_LOW, 17, task("screencast:cs0", 3342));
const PANEL: Queue = queue(75, GFX, 6, task("panel:cs0", 1377));
const GAME_TABLES: Queue = queue(17, SDMA0, 0, task("orbit game:cs0", 2290));
const COMPOSITOR_TABLES: Queue = queue(19, SDMA0, 0, task("compositor:cs0", 1203));
const PLAYER_TABLES: Queue = queue(21, SDMA0, 0, task("player:dec0", 3110));
const MOVES: Queue = queue(23, SDMA1, 0, MOVE_WORKER);

/// What a program does next.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Act {
    Blank(usize),
    Compose(usize),
    Capture { output: usize, slow: bool },
    Frame,
    HeadUp(usize),
    GameMap,
    Decode,
    PlayerMap(usize),
    CompositorMap,
    Move { textures: bool },
    Clock,
}

/// The desktop as a whole.
pub(super) struct Desktop {
    gpu: Gpu,
    dice: Dice,
    acts: BTreeSet<(i64, u64, Act)>,
    act_count: u64,
    frames: [usize; 2],
    blanks: [i64; 2],
    captures: usize,
    game_frame: usize,
    shown_image: usize,
    /// The last job of the compositor that reads each image of the game: where the image is released.
    releases: [Option<Key>; 3],
    video_frame: usize,
    shown_surface: usize,
    moves: [u32; 2],
}

impl Desktop {
    pub(super) fn new() -> Desktop {
        let mut gpu = Gpu::new(&[
            ("gfx_0.0.0", 3, 402_117),
            ("comp_1.0.0", 5, 88_410),
            ("comp_1.1.0", 7, 20_962),
            ("vcn_unified_0", 15, 7_730),
            ("sdma0", 9, 51_204),
            ("sdma1", 11, 1_893),
        ]);
        for (queue, seqno) in [
            (COMPOSITOR, 120_655),
            (GAME, 30_512),
            (GAME_HUD, 10_166),
            (PLAYER, 7_729),
            (SCREENCAST, 934),
            (PANEL, 2_088),
            (GAME_TABLES, 9_417),
            (COMPOSITOR_TABLES, 640),
            (PLAYER_TABLES, 1_502),
            (MOVES, 311),
        ] {
            gpu.start_at(queue.context, seqno);
        }
        Desktop {
            gpu,
            dice: Dice::new(0xbb67_ae85),
            acts: BTreeSet::new(),
            act_count: 0,
            frames: [0; 2],
            blanks: [601_330, 598_204],
            captures: 0,
            game_frame: 0,
            shown_image: 0,
            releases: [None; 3],
            video_frame: 0,
            shown_surface: 0,
            moves: [0; 2],
        }
    }

    pub(super) fn into_gpu(self) -> Gpu {
        self.gpu
    }

    /// Runs programs and device until the recording ends.
    pub(super) fn run(&mut self) {
        for (after, act) in [
            (500, Act::Decode),
            (1_900, Act::Frame),
            (4_100, Act::Blank(0)),
            (11_200, Act::Blank(1)),
            (23_000, Act::CompositorMap),
            (31_000, Act::Move { textures: false }),
            (47_000, Act::Clock),
        ] {
            self.later(-LEAD + after, act);
        }
        while let Some(&(at, _, act)) = self.acts.first() {
            // The device first: what a program submits sees all that was done by then.
            match self.gpu.next_at() {
                Some(device) if device <= at => {
                    if device >= END {
                        return;
                    }
                    self.gpu.step();
                }
                _ if at >= END => return,
                _ => {
                    self.acts.pop_first();
                    self.act(at, act);
                }
            }
        }
    }

    fn later(&mut self, at: i64, act: Act) {
        self.act_count += 1;
        self.acts.insert((at, self.act_count, act));
    }

    fn act(&mut self, now: i64, act: Act) {
        match act {
            Act::Blank(output) => self.blank(now, output),
            Act::Compose(output) => self.compose(now, output),
            Act::Capture { output, slow } => self.capture(now, output, slow),
            Act::Frame => self.frame(now),
            Act::HeadUp(image) => self.head_up(now, image),
            Act::GameMap => self.map(now, GAME_TABLES, &["game2 bookkeep", "textures bookkeep"]),
            Act::Decode => self.decode(now),
            Act::PlayerMap(surface) => {
                self.map(now, PLAYER_TABLES, &[&format!("video{surface} bookkeep")]);
            }
            Act::CompositorMap => {
                self.map(now, COMPOSITOR_TABLES, &["atlas bookkeep"]);
                self.later(now + 125_000, Act::CompositorMap);
            }
            Act::Move { textures } => self.move_buffer(now, textures),
            Act::Clock => {
                let takes = self.dice.between(280, 520);
                self.submit(now, PANEL, takes, &["panel write"], &[]);
                self.later(now + 100_000, Act::Clock);
            }
        }
    }

    fn submit(
        &mut self,
        now: i64,
        queue: Queue,
        takes: i64,
        touches: &[&str],
        after: &[Key],
    ) -> Key {
        let touches: Vec<String> = touches.iter().map(|&touch| touch.to_owned()).collect();
        self.gpu.submit(now, queue, takes, &touches, after)
    }

    /// A vertical blank: the compositor draws the next frame so late that it is just done for the one after.
    fn blank(&mut self, now: i64, output: usize) {
        self.blanks[output] += 1;
        let fields = format!("crtc={output} seq={}", self.blanks[output]);
        self.gpu.note(now, IDLE, "drm_vblank_event", fields);
        let delay = 8_600 + self.dice.between(0, 350);
        self.later(now + delay, Act::Compose(output));
        self.later(now + REFRESH, Act::Blank(output));
    }

    fn compose(&mut self, now: i64, output: usize) {
        let frame = self.frames[output];
        self.frames[output] += 1;
        let target = format!("{} write", output_name(output, frame));
        let takes = self.dice.between(1_500, 2_300);
        let job = if output == 0 {
            let image = self.shown_image;
            let shown = format!("game{image} read");
            let job = self.submit(
                now,
                COMPOSITOR,
                takes,
                &[&target, &shown, "atlas read"],
                &[],
            );
            self.releases[image] = Some(job);
            job
        } else {
            let shown = format!("video{} read", self.shown_surface);
            let touches = [target.as_str(), &shown, "panel read", "atlas read"];
            self.submit(now, COMPOSITOR, takes, &touches, &[])
        };
        if frame % 4 == output {
            let Task { comm, pid } = FLIP_WORKER;
            self.gpu.later(now + 110, Todo::Wait(job, comm, pid));
        }
        if output == 0 && frame.is_multiple_of(2) {
            self.captures += 1;
            let slow = self.captures % 5 == 3;
            self.later(
                now + 900,
                Act::Capture {
                    output: frame,
                    slow,
                },
            );
        }
    }

    /// Reads the frame of output 0 that was just submitted.
    fn capture(&mut self, now: i64, output: usize, slow: bool) {
        let source = format!("{} read", output_name(0, output));
        let target = format!("cast{} write", self.captures % 2);
        let takes = if slow {
            self.dice.between(33_000, 36_000)
        } else {
            self.dice.between(2_600, 4_200)
        };
        let job = self.submit(now, SCREENCAST, takes, &[&source, &target], &[]);
        if self.captures.is_multiple_of(3) {
            self.gpu
                .later(now + 150, Todo::Wait(job, "screencast", 3338));
        }
    }

    fn frame(&mut self, now: i64) {
        if self.gpu.pending_of(GAME.context) >= 2 {
            // Two frames ahead of the hardware is far enough.
            self.later(now + 1_500, Act::Frame);
            return;
        }
        let image = self.game_frame % 3;
        let takes = self.dice.between(4_900, 7_000);
        if image == 2 {
            self.submit(now, GAME, takes, &["game2 write", "textures read"], &[]);
        } else {
            let target = format!("game{image} write/explicit");
            let release: Vec<Key> = self.releases[image].into_iter().collect();
            self.submit(
                now,
                GAME,
                takes,
                &[&target, "textures read/explicit"],
                &release,
            );
            self.later(now + 45, Act::HeadUp(image));
        }
        self.shown_image = image;
        self.game_frame += 1;
        let period = self.dice.between(10_400, 11_200);
        if self.game_frame % 3 == 2 && self.game_frame.is_multiple_of(2) {
            self.later(now + period - 160, Act::GameMap);
        }
        if self.game_frame % 6 == 1 {
            self.later(now + period - 90, Act::Move { textures: true });
        }
        self.later(now + period, Act::Frame);
    }

    /// The strip of the head-up display: the game knows that its two jobs do not overlap, and that only the release matters.
    fn head_up(&mut self, now: i64, image: usize) {
        let takes = self.dice.between(1_200, 2_200);
        let target = format!("game{image} write/explicit");
        let release: Vec<Key> = self.releases[image].into_iter().collect();
        self.submit(now, GAME_HUD, takes, &[&target], &release);
    }

    fn decode(&mut self, now: i64) {
        let surface = self.video_frame % 4;
        let takes = self.dice.between(4_500, 8_000);
        let target = format!("video{surface} write");
        let earlier = format!("video{} read", (surface + 3) % 4);
        self.submit(now, PLAYER, takes, &[&target, &earlier], &[]);
        self.shown_surface = surface;
        self.video_frame += 1;
        if self.video_frame % 3 == 1 {
            self.later(now + 33_333 - 140, Act::PlayerMap((surface + 1) % 4));
        }
        self.later(now + 33_333, Act::Decode);
    }

    fn map(&mut self, now: i64, tables: Queue, touches: &[&str]) {
        let takes = self.dice.between(1_700, 3_100);
        self.submit(now, tables, takes, touches, &[]);
    }

    /// The game's textures are brought in by the thread that is about to use them, the atlas is moved in the background.
    fn move_buffer(&mut self, now: i64, textures: bool) {
        let (name, bo, size, task) = if textures {
            ("textures", textures_address(), 268_435_456, GAME.task)
        } else {
            ("atlas", atlas_address(), 16_777_216, MOVE_WORKER)
        };
        // Every second move brings the buffer back.
        let moves = &mut self.moves[usize::from(textures)];
        let (new, old) = if moves.is_multiple_of(2) {
            (2, 1)
        } else {
            (1, 2)
        };
        *moves += 1;
        let fields =
            format!("bo={bo:#018x}, bo_size={size}, new_placement={new}, old_placement={old}");
        self.gpu.note(now, task, "amdgpu_ttm_bo_move", fields);
        let takes = self.dice.between(2_600, 5_200);
        let queue = Queue { task, ..MOVES };
        self.submit(now, queue, takes, &[&format!("{name} kernel")], &[]);
        if !textures {
            self.later(now + 94_000, Act::Move { textures });
        }
    }
}

fn output_name(output: usize, frame: usize) -> String {
    format!(
        "out{output}_{}",
        if frame.is_multiple_of(2) { 'a' } else { 'b' }
    )
}
