/** For each job; none takes so long. */
export const seconds = 60;
