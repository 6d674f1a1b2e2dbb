/** The avatar, or the first letter of the name without one. */
export function Avatar({ name, url, size }: { name: string; url: string | null; size: number }) {
  const style = { width: size, height: size };
  if (url !== null) return <img className="avatar" src={url} alt="" style={style} />;
  return (
    <span className="avatar" aria-hidden="true" style={{ ...style, fontSize: size / 2 }}>
      {name.slice(0, 1).toUpperCase()}
    </span>
  );
}
