// For the demonstration: three long queries, and then Ctrl-C.

import pg from "pg";

const pool = new pg.Pool({ connectionString: process.env.DATABASE_URL });
await Promise.all(Array.from({ length: 3 }, () => pool.query("select pg_sleep(30)")));
