/** Each gets every item; who is a hundred behind holds the others up. */
export const subscribers = 10;
export const capacity = 100;
