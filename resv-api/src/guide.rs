#![doc = include_str!("../guide/examples.md")]
