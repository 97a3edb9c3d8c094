//! `module-export` freezes the environment modules that a session has loaded into one image.
//!
//! The rooms, in the order data flows; each imports only from those below it in this list
//! (`tests/architecture.rs` checks it):
//!
//! | room | holds |
//! |---|---|
//! | [`cli`] | the command line: typed words, messages, progress, reports, exit codes |
//! | [`assemble`] | closure + frozen environment + documents → the image's root file system |
//! | [`attest`] | bills of materials |
//! | [`audit`] | the proof that an image is complete |
//! | [`gate`] | what must not leave: software that may not be handed on, personal data, secrets |
//! | [`image`] | image formats: squashfs, SIF. Knows nothing of modules |
//! | [`closure`] | which files the loaded modules need, and why |
//! | [`modulefile`] | modulefiles evaluated in embedded Lua |
//! | [`session`] | the shell's module session, from its variables |
//! | [`stack`] | where the software lives: EESSI or a plain site |
//! | [`environment`] | variables and path lists, changes with their origin |
//! | [`elf`] | what an ELF file needs, and where `ld.so` looks |
//! | [`rootfs`] | a tree of inodes without contents |
//! | [`base`] | digests, sizes, times, paths, errors of the file system |

pub mod assemble;
pub mod attest;
pub mod audit;
pub mod base;
pub mod cli;
pub mod closure;
pub mod elf;
pub mod environment;
pub mod gate;
pub mod image;
pub mod modulefile;
pub mod rootfs;
pub mod session;
pub mod stack;
