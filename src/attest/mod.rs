//! Documents that say what an image is made of, for machines to read.

pub mod easyconfig;
pub mod licences;
pub mod spdx;
