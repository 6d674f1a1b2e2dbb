#![no_main]

vestibule_fuzz::feed!("breached_list");
