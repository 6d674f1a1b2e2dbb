#![no_main]

vestibule_fuzz::feed!("refresh_token");
